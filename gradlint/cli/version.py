"""`gradlint --version`."""

from __future__ import annotations

from gradlint.cli.arguments import Values
from gradlint.cli.terminal import print_out
from gradlint.records.version import VERSION


def run(values: Values) -> int:
    """Print the version."""
    print_out(f"gradlint {VERSION}\n")
    return 0
