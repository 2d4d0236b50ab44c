"""`gradlint clean`: delete the cache."""

from __future__ import annotations

from gradlint.cli.arguments import CHECK, Values
from gradlint.cli.errors import UsageError
from gradlint.cli.session import open_session
from gradlint.cli.terminal import print_error
from gradlint.config.cache_folder import cache_folder
from gradlint.lint.cache import Cache


def run(values: Values) -> int:
    """Delete what was remembered, and tell how much that was."""
    session = open_session({**values, "cache": True}, CHECK)
    folder = cache_folder(session.settings)
    try:
        freed = Cache(folder).clear() if folder else 0
    except OSError as error:
        raise UsageError(f"`{folder}` cannot be emptied: {error.strerror or error}") from None
    print_error(f"Deleted {freed / 1e3:,.0f} kB from {folder}." if freed else f"{folder} holds nothing.")
    return 0
