"""Started as a folder, `python …/worker`: loads itself as a package and answers what it is asked."""

from __future__ import annotations

import importlib.util
import os
import sys

PACKAGE = "gradlint_worker"


def main() -> None:
    """Serve the standard input; the worker's own folder is no place to import from."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[PACKAGE] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    importlib.import_module(f"{PACKAGE}.serve").main()


if __name__ == "__main__":
    main()
