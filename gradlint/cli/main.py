"""The command line's entry: it finds the command, runs it and turns every error into a message."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from gradlint.cli.arguments import BASELINE, CHECK, Argument, Values, read_quickly
from gradlint.cli.errors import UsageError
from gradlint.cli.terminal import open_missing_streams, print_error

COMMANDS = {
    "check": ("gradlint.cli.check", "run"),
    "rule": ("gradlint.cli.rule", "explain"),
    "rules": ("gradlint.cli.rule", "list_rules"),
    "baseline": ("gradlint.cli.baseline", "run"),
    "graph": ("gradlint.cli.graph", "run"),
    "verify": ("gradlint.cli.verify", "run"),
    "clean": ("gradlint.cli.clean", "run"),
    "version": ("gradlint.cli.version", "run"),
}
QUICK: dict[str, Sequence[Argument]] = {"check": CHECK, "baseline": BASELINE, "--version": ()}
COMPLETION = "_GRADLINT_COMPLETE"
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit."""
    open_missing_streams()
    code = run(sys.argv[1:])
    gc.freeze()  # the end of the process gives everything back
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run one command line; the exit code is 0, 1 for findings, 2 for errors, 130 when interrupted."""
    try:
        return _run(words)
    except KeyboardInterrupt:
        print_error("interrupted")
        return INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            raise
        from gradlint.report.terminal import one_line

        print_error(f"error: {one_line(_message(error))}")
        return 2


def _run(words: Sequence[str]) -> int:
    if words and words[0] in QUICK and COMPLETION not in os.environ:
        values = read_quickly(words[1:], QUICK[words[0]])
        if values is not None:
            return run_command(words[0].lstrip("-"), values)
    from gradlint.cli.typer_app import invoke

    return invoke(words, run_command)


def run_command(name: str, values: Values) -> int:
    """Run a command with what was given for it."""
    module, function = COMMANDS[name]
    code: int = getattr(import_module(module), function)(values)
    return code


def _message(error: Exception) -> str:
    """What to tell about an error: its own words if it was foreseen."""
    from gradlint.config.error import ConfigError
    from gradlint.lint.baseline import BaselineError
    from gradlint.rule.registry import RegistryError, UnknownRuleError
    from gradlint.verify.client import WorkerError

    if isinstance(
        error, WorkerError | UsageError | ConfigError | BaselineError | RegistryError | UnknownRuleError
    ):
        return str(error)
    return f"internal error: {type(error).__name__}: {error}; --debug shows where"
