"""`gradlint graph`: what a model computes, and what becomes of the gradient on its way."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

from gradlint.cli.arguments import PATHS, Values
from gradlint.cli.errors import UsageError, color_choice, require_choice
from gradlint.cli.terminal import print_error, print_out
from gradlint.config.error import did_you_mean
from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.lint.models import NoNumberError, UnknownArgumentError, model_names, models, signatures
from gradlint.report.graph import as_json, dot, text
from gradlint.report.terminal import wants_color
from gradlint.source.source import SourceError

FORMATS = ("text", "json", "dot", "svg")


def run(values: Values) -> int:
    """Print or draw the graphs of the models that were named."""
    require_choice("--format", values["format"], FORMATS)
    color_choice(values)
    given = _given(values.get("arg", []))
    targets = values[PATHS]
    if not targets:
        raise UsageError("name a file, or a class in it: `gradlint graph model.py::Net`")
    flows = [flow for target in targets for flow in _flows(target, given)]
    if values["format"] == "json":
        print_out(as_json(flows) + "\n")
    elif values["format"] == "dot":
        print_out("\n".join(map(dot, flows)) + "\n")
    elif values["format"] == "svg":
        print_out(_svg(flows))
    else:
        color = wants_color(color_choice(values), sys.stdout, os.environ)
        print_out("\n".join([text(flow, color=color) for flow in flows]))
    return 0


def _flows(target: str, given: dict[str, object]) -> list[GradientFlow]:
    path, _, wanted = target.partition("::")
    if not Path(path).is_file():
        raise UsageError(f"`{path}` is not a file" if Path(path).exists() else f"`{path}` does not exist")
    try:
        found = models(path, wanted, given)
    except SourceError as error:
        raise UsageError(f"`{path}` cannot be read: {error} (line {error.line})") from None
    except UnknownArgumentError as error:
        hint = did_you_mean(error.name, error.known)
        raise UsageError(f"no constructor takes an argument `{error.name}`{hint}") from None
    except NoNumberError as error:
        raise UsageError(f"`--arg {error}={given[str(error)]}`: `{error}` is a number") from None
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}") from None
    if not found:
        names = model_names(path)
        if wanted and wanted not in names:
            if signatures(path, [wanted]):
                runs = f"`gradlint verify {target}` runs it"
                raise UsageError(f"`{wanted}` in {path} is or returns no model that the code shows; {runs}")
            raise UsageError(f"`{path}` has no model `{wanted}`{did_you_mean(wanted, names)}")
        print_error(f"warning: no model with a forward pass in {target}")
    return [propagate(graph) for graph in found]


def _given(words: list[str]) -> dict[str, object]:
    """The constructor arguments: literals of Python, anything else is text."""
    given: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`--arg {word}`: expected NAME=VALUE, such as depth=12")
        try:
            given[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            given[name] = value
            print_error(f"warning: `--arg {word}`: `{value}` is no literal of Python, and taken as text")
    return given


def _svg(flows: list[GradientFlow]) -> str:
    if len(flows) != 1:
        raise UsageError(
            "a picture shows one model: name it, as in `gradlint graph model.py::Net --format svg`"
        )
    try:
        import graphviz
    except ImportError:
        raise UsageError(
            "drawing needs Graphviz: `pip install graphviz` and the program `dot`; or use --format dot"
        ) from None
    try:
        return str(graphviz.Source(dot(flows[0])).pipe(format="svg", encoding="utf-8"))
    except graphviz.ExecutableNotFound:
        raise UsageError(
            "drawing needs the program `dot` of Graphviz on the path; or use --format dot"
        ) from None
