"""The whole command line as typer sees it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from gradlint.cli.arguments import (
    BASELINE,
    CACHE_FOLDER,
    CHECK,
    COLOR,
    PATHS,
    VERIFY,
    Argument,
    Shape,
    Values,
)
from gradlint.cli.complete import complete_choices, complete_rules
from gradlint.cli.errors import UsageError
from gradlint.config.error import did_you_mean

SELECTORS = {"--select", "--extend-select", "--ignore"}
TYPES: dict[Shape, Any] = {
    Shape.SWITCH: bool | None,
    Shape.ONE: str | None,
    Shape.MANY: list[str] | None,
    Shape.NUMBER: int | None,
    Shape.DECIMAL: float | None,
}
COMMANDS = {
    "check": "Check files and folders.",
    "rule": "Explain rules.",
    "rules": "List the rules.",
    "graph": "Show what a model computes, and what becomes of the gradient on its way.",
    "verify": "Build a model, run it forward and backward, and say whether its gradient is healthy.",
    "baseline": "Write down the present findings, not to be reported again.",
    "clean": "Delete what was remembered between runs.",
}
HELP = "Predict where gradients vanish, explode, become NaN or never arrive in PyTorch code."

Run = Callable[[str, Values], int]
"""Runs the named command with what was given for it."""


def invoke(words: Sequence[str], run: Run) -> int:
    """Let typer read the command line, then run what it says; returns the exit code."""
    said: list[tuple[str, Values]] = []

    def note(name: str, values: Values) -> int:
        said.append((name, values))
        return 0

    try:
        code = build(note)(list(words), prog_name="gradlint", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(_explained(error, words)) from None
    return run(*said[0]) if said else int(code or 0)


def _explained(error: Any, words: Sequence[str]) -> str:
    """What is wrong with the command line, in one sentence, and where to read on."""
    command = next((word for word in words if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        hint = f"; did you mean `gradlint check {command}`?" if os.path.exists(command) else ""
        return f"no such command: `{command}`{hint or did_you_mean(command, COMMANDS)}"
    unknown, possible = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    if possible:
        return f"no such option: `{unknown}`{did_you_mean(unknown, possible)}"
    message = str(error.format_message()).rstrip(".").replace("'", "`")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gradlint"
    return f"{message[:1].lower()}{message[1:]} (see `{path} --help`)"


def build(run: Run) -> typer.Typer:
    """The command line."""
    app = typer.Typer(
        help=HELP, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
    )

    @app.callback(invoke_without_command=True)
    def start(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", "-V", help="Show the version.")] = False,
    ) -> None:
        if version:
            raise typer.Exit(run("version", {}))
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())
            raise typer.Exit(2)

    for name, help in COMMANDS.items():
        _add(app, run, name, help, _parameters(name))
    return app


def _add(app: typer.Typer, run: Run, name: str, help: str, parameters: list[inspect.Parameter]) -> None:
    """Add a command whose function has the given parameters."""

    def command(**values: Any) -> None:
        given = {key: value for key, value in values.items() if value not in (None, [])}
        raise typer.Exit(run(name, {PATHS: [], **given}))

    vars(command)["__signature__"] = inspect.Signature(parameters)
    app.command(name, help=help)(command)


def _parameters(command: str) -> list[inspect.Parameter]:
    """What the command takes."""
    if command == "rule":
        return [_positional("rules", "RULE", "Codes or names.", complete_rules), _all(), _format()]
    if command == "rules":
        return [_format()]
    if command == "graph":
        return [
            _positional(PATHS, "PATH[::CLASS]", "A file, or one model in it.", None),
            _arguments(),
            _form(),
            _option(COLOR),
        ]
    if command == "verify":
        where = _positional(PATHS, "PATH[::NAME]", "A file, or one model in it.", None)
        return [where, *map(_option, VERIFY)]
    if command == "clean":
        return [_option(CACHE_FOLDER)]
    paths = _positional(PATHS, "PATHS", "Files and folders, or - for the standard input.", None)
    return [paths, *map(_option, CHECK if command == "check" else BASELINE)]


def _option(argument: Argument) -> inspect.Parameter:
    names = ["/".join(filter(None, (argument.names[0], argument.off))), *argument.names[1:]]
    info = typer.Option(
        *names,
        metavar=argument.metavar or None,
        help=argument.help,
        hidden=argument.hidden,
        show_default=False,
        rich_help_panel=argument.group,
        autocompletion=_completion(argument),
    )
    return _parameter(argument.target, TYPES[argument.shape], info, None)


def _completion(argument: Argument) -> Callable[[str], list[Any]] | None:
    if not SELECTORS.isdisjoint(argument.names):
        return complete_rules
    return complete_choices(argument.setting or argument.target)


def _positional(
    name: str, metavar: str, help: str, completion: Callable[[str], list[Any]] | None
) -> inspect.Parameter:
    info = typer.Argument(metavar=metavar, help=help, show_default=False, autocompletion=completion)
    return _parameter(name, list[str] | None, info, None)


def _all() -> inspect.Parameter:
    return _parameter("all", bool, typer.Option("--all", help="Explain every rule."), False)


def _format() -> inspect.Parameter:
    info = typer.Option(metavar="FORMAT", help="text or json.", autocompletion=complete_choices("listing"))
    return _parameter("output_format", str, info, "text")


def _arguments() -> inspect.Parameter:
    info = typer.Option("--arg", metavar="NAME=VALUE", help="An argument of the model's constructor.")
    return _parameter("arg", list[str] | None, info, None)


def _form() -> inspect.Parameter:
    info = typer.Option(
        metavar="FORMAT", help="text, json, dot or svg.", autocompletion=complete_choices("graph")
    )
    return _parameter("format", str, info, "text")


def _parameter(name: str, annotation: Any, info: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[annotation, info], default=default
    )
