"""`gradlint --version`."""

from __future__ import annotations

from gradlint import __version__
from gradlint.cli.arguments import Values
from gradlint.cli.terminal import print_out


def run(values: Values) -> int:
    """Print the version."""
    print_out(f"gradlint {__version__}\n")
    return 0
