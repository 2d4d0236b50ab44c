"""Where outcomes are kept between runs."""

from __future__ import annotations

import os
import sys

from gradlint.config.settings import Settings


def cache_folder(settings: Settings) -> str | None:
    """The folder of the cache, which need not exist; None where nothing is to be kept."""
    if not settings.cache:
        return None
    return settings.cache_dir or os.environ.get("GRADLINT_CACHE_DIR") or _of_this_platform()


def _of_this_platform() -> str:
    if sys.platform == "linux":
        base = os.environ.get("XDG_CACHE_HOME", "")
        return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "gradlint")
    from platformdirs import user_cache_dir

    return user_cache_dir("gradlint", appauthor=False)
