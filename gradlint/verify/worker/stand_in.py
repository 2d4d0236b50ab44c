"""What stands in for a configuration: its settings are guessed by their names as they are read."""

from __future__ import annotations

from typing import Any


class Settings(dict):  # type: ignore[type-arg]
    """Settings that can be read as attributes or by key; `read` keeps what was, by its dotted name.

    `chosen` holds values by dotted name that are used instead of guesses; it is one table for an
    attempt and all settings within settings.
    """

    chosen: dict[str, Any] = {}
    read: dict[str, Any] = {}

    def __init__(self, path: str, size: int) -> None:
        super().__init__()
        self.__dict__["_path"], self.__dict__["_size"] = path, size

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __missing__(self, name: Any) -> Any:
        from .guesses import guess

        path = f"{self._path}.{name}"
        value = Settings.chosen[path] if path in Settings.chosen else guess(str(name), None, self._size, path)
        Settings.read[path] = value
        self[name] = value
        return value

    def get(self, name: Any, default: Any = None) -> Any:
        """The setting, or the default that the code itself gives."""
        path = f"{self._path}.{name}"
        if name in self or path in Settings.chosen or default is None:
            return self[name]
        Settings.read[path] = default
        return default

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"{self._path}({', '.join(f'{name}={value!r}' for name, value in self.items())})"
