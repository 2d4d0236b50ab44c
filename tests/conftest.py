from __future__ import annotations

import pytest

from gradlint.rule.registry import load
from gradlint.rule.rule import Rule


@pytest.fixture(scope="session")
def rules() -> tuple[type[Rule], ...]:
    return load()
