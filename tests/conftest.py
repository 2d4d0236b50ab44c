from __future__ import annotations

import pytest
from hypothesis import settings

from gradlint.rule.registry import load
from gradlint.rule.rule import Rule

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def rules() -> tuple[type[Rule], ...]:
    return load()
