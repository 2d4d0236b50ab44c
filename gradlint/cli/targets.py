"""What the words of a command line name: the models of a file, with arguments and inputs for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from gradlint.cli.errors import UsageError, missing
from gradlint.cli.terminal import print_error
from gradlint.config.error import did_you_mean
from gradlint.config.options import as_input, check_inputs
from gradlint.lint.models import Signature, intact, model_names, models, signatures
from gradlint.records.graph import ModelGraph
from gradlint.source.source import SourceError
from gradlint.verify.plan import Target
from gradlint.verify.request import TargetSettings

_SIGNS = frozenset("()[]{}'\"=")
"""What stands in an expression rather than in a word."""


def targets(word: str) -> list[Target]:
    """The models that a word names: all of a file, or one."""
    path, _, wanted = word.partition("::")
    if not Path(path).exists():
        raise missing((path,))
    if not Path(path).is_file():
        raise UsageError(f"`{path}` is not a file; name one, or a model in it: `model.py::Net`")
    graphs = _graphs(path)
    names = model_names(path)
    if wanted:
        if wanted not in names and not signatures(path, [wanted]):
            known = f"; it has {_listed(names)}" if names else ""
            raise UsageError(f"no model `{wanted}` in {path}{did_you_mean(wanted, names) or known}")
        return [Target(path, wanted, g) for g in graphs.get(wanted) or models(path, wanted) or [None]]
    if not names:
        raise UsageError(f"`{path}` defines no model; name a function that makes one: `{path}::make`")
    return [Target(path, n, graph) for n in dict.fromkeys(names) for graph in graphs.get(n, [None])]


def _graphs(path: str) -> dict[str, list[ModelGraph | None]]:
    """The graphs of the models in a file by name; a function may construct several."""
    try:
        for number, reason in intact(path).broken:
            print_error(f"warning: {path}: cell {number} is left out: {reason}")
        found: dict[str, list[ModelGraph | None]] = {}
        for graph in models(path):
            found.setdefault(graph.name, []).append(graph)
        return found
    except (SourceError, OSError) as error:
        line = f" (line {error.line})" if isinstance(error, SourceError) else ""
        raise UsageError(f"`{path}` cannot be read: {error}{line}") from None


def given(arguments: Sequence[str], inputs: Sequence[str]) -> TargetSettings:
    """What `--arg` and `--input` say."""
    return TargetSettings(tuple(_arguments(arguments)), tuple(_inputs(inputs)))


def _arguments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Constructor arguments; a value that is no Python expression, but plain words, is text."""
    known: set[str] = set()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`--arg {word}`: expected NAME=VALUE, such as depth=12")
        if name in known:
            raise UsageError(f"`--arg`: `{name}` is given more than once")
        known.add(name)
        try:
            compile(value.strip(), "<argument>", "eval")
        except (SyntaxError, ValueError) as error:
            if not _SIGNS.isdisjoint(value) or not value.strip():
                reason = getattr(error, "msg", str(error))
                raise UsageError(f"`--arg {word}`: `{value}` is no Python expression: {reason}") from None
            value = repr(value)
        yield name, value.strip()


def _inputs(words: Sequence[str]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    try:
        check_inputs([word.partition("=")[0] for word in words if "=" in word])
    except ValueError as error:
        raise UsageError(f"`--input`: {error}") from None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"`--input {word}`: expected NAME=FORM, such as x=float32[8,3,32,32]")
        try:
            yield name, *as_input(value)
        except ValueError as error:
            raise UsageError(f"`--input {word}`: {error}") from None


def settings_for(chosen: Sequence[Target], asked: TargetSettings) -> list[TargetSettings]:
    """What of the given arguments and inputs each target takes.

    Raises `UsageError` for a name that none of them takes.
    """
    known = [_signature(target) for target in chosen]
    for name, *_ in asked.arguments:
        _require("--arg", name, [(t.name, s.arguments) for t, s in zip(chosen, known, strict=True)])
    for name, *_ in asked.inputs:
        _require(
            "--input",
            name.partition(".")[0],
            [(t.name, s.inputs) for t, s in zip(chosen, known, strict=True)],
        )
    return [_taken(asked, signature) for signature in known]


def _signature(target: Target) -> Signature:
    return signatures(target.path, [target.name]).get(target.name, Signature())


def _require(option: str, name: str, takers: Sequence[tuple[str, tuple[str, ...] | None]]) -> None:
    """Raise `UsageError` unless one of the targets takes the name, or may."""
    if any(names is None or name in names for _, names in takers):
        return
    known: Mapping[str, None] = dict.fromkeys(each for _, names in takers for each in names or ())
    method = "" if option == "--arg" else ".forward"
    takes = _listed(known) if known else "nothing"
    who = _listed(dict.fromkeys(f"{target}{method}" for target, _ in takers))
    raise UsageError(f"`{option} {name}`: {who} takes {takes}{did_you_mean(name, known)}")


def _taken(asked: TargetSettings, signature: Signature) -> TargetSettings:
    return replace(
        asked,
        arguments=tuple([a for a in asked.arguments if _is_taken(a[0], signature.arguments)]),
        inputs=tuple([i for i in asked.inputs if _is_taken(i[0].partition(".")[0], signature.inputs)]),
    )


def _is_taken(name: str, names: tuple[str, ...] | None) -> bool:
    return names is None or name in names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
