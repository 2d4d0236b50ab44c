"""gradlint predicts what the gradient will do in PyTorch code, and points at the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradlint.records.version import VERSION

if TYPE_CHECKING:
    from gradlint.api import check
    from gradlint.records.finding import Finding

__all__ = ["Finding", "__version__", "check"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """`check` and `Finding`, imported when they are asked for, so that the command starts fast."""
    if name == "check":
        from gradlint.api import check

        return check
    if name == "Finding":
        from gradlint.records.finding import Finding

        return Finding
    raise AttributeError(f"module 'gradlint' has no attribute '{name}'")
