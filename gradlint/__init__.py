"""gradlint predicts what the gradient will do in PyTorch code, and points at the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradlint.records.version import VERSION

if TYPE_CHECKING:
    from gradlint.api import check
    from gradlint.config.error import ConfigError
    from gradlint.records.finding import Finding

__all__ = ["ConfigError", "Finding", "__version__", "check"]
__version__ = VERSION

_HOMES = {
    "check": "gradlint.api",
    "ConfigError": "gradlint.config.error",
    "Finding": "gradlint.records.finding",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for, so that the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gradlint' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
