"""The models of one file, for those who want to look at one rather than be told what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gradlint.graph.build import Builder, parameters
from gradlint.lint.cells import broken_cells, without_cells
from gradlint.lint.deep import deep_recursion
from gradlint.records import ir
from gradlint.records.facts import FileFacts
from gradlint.records.graph import ModelGraph
from gradlint.records.ir import Omitted, Statement
from gradlint.records.span import Span
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure
from gradlint.source.read import decode
from gradlint.source.source import SourceError
from gradlint.syntax.extract import extract, lower_omitted


class UnknownArgumentError(Exception):
    """No constructor takes an argument of this name; `known` are those that one does."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known


class NoNumberError(Exception):
    """The argument of this name is a number, by its default or annotation, and was given as text."""


class Intact(Struct, frozen=True):
    """The text of a file as far as it is Python: a notebook's cells that are none are blank in it.

    `broken` holds these cells by number with the reason.
    """

    text: str
    broken: tuple[tuple[int, str], ...] = ()


def intact(path: str) -> Intact:
    """What can be run of a file. Raises `OSError` or `SourceError` where it cannot be read."""
    with open(path, "rb") as file:
        source = decode(path, file.read())
    broken = broken_cells(source) if source.cells else {}
    if not broken:
        return Intact(source.text)
    text = without_cells(source, broken).text
    return Intact(text, tuple([(cell.number, failure.message) for cell, failure in broken.items()]))


class Texts:
    """The texts of a project's files, each read once."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def facts(self, path: str) -> FileFacts:
        """The names in a file; nothing is lowered before it is asked for."""
        return extract(self.text(path), {}, outline=True)

    def lower(self, path: str, omitted: Omitted) -> tuple[Statement, ...]:
        """A definition of a file, lowered."""
        return lower_omitted(self.text(path), omitted)

    def text(self, path: str) -> str:
        """The text of a file, empty where it cannot be read."""
        if path not in self._texts:
            try:
                self.read(path)
            except (OSError, SourceError):
                self._texts[path] = ""
        return self._texts[path]

    def read(self, path: str) -> None:
        """Read a file; raises `OSError` or `SourceError` where that cannot be done."""
        self._texts[path] = intact(path).text


def model_names(path: str) -> list[str]:
    """The models of a file: classes that derive from torch.nn.Module, and sequences outside of them."""
    with deep_recursion():
        texts = Texts()
        builder, scope = _builder(path, texts)
        sequences = [graph.name for graph in builder.sequences(scope, texts.text(path))]
        return [*[cls.definition.name for cls in builder.classes(scope)], *sequences]


class Signature(Struct, frozen=True):
    """What a target is constructed and called with, by name; None where that is not known."""

    arguments: tuple[str, ...] | None = None
    inputs: tuple[str, ...] | None = None


def signatures(path: str, names: Iterable[str]) -> dict[str, Signature]:
    """What targets of a file take, by name; those that the file does not define are left out.

    Where a name may come from elsewhere, as by `from x import *`, nothing is known of it.
    """
    with deep_recursion():
        builder, scope = _builder(path, Texts())
        return {name: _signature(builder, scope, name) for name in names if _may_define(scope, name)}


def _may_define(scope: ModuleScope, name: str) -> bool:
    return name.partition(".")[0] in scope.bindings or bool(scope.stars)


def _signature(builder: Builder, scope: ModuleScope, name: str) -> Signature:
    value = builder.value(scope, ir.Name(Span(1, 1, 1, 1), name)) if name.isidentifier() else None
    if isinstance(value, Closure):
        return Signature(_taken(value.function.parameters))
    if not isinstance(value, ClassObject):
        return Signature()
    init, forward = value.member("__init__"), value.member("forward")
    return Signature(
        _taken(init.function.parameters[1:]) if isinstance(init, Closure) else None,
        _taken(forward.function.parameters[1:]) if isinstance(forward, Closure) else None,
    )


def _taken(parameters: Sequence[ir.Parameter]) -> tuple[str, ...] | None:
    """The names of parameters; None where any name may be given."""
    if any(parameter.kind in ("arguments", "keywords") for parameter in parameters):
        return None
    return tuple([parameter.name for parameter in parameters])


def models(path: str, wanted: str = "", given: Mapping[str, object] | None = None) -> list[ModelGraph]:
    """The graphs of the models in a file, or of the one that is wanted, constructed with what is given.

    Models without a forward pass are left out. Raises `SourceError` where the file does not parse,
    `OSError` where it cannot be read, `UnknownArgumentError` where no constructor takes what is given, and
    `NoNumberError` where one takes a number in place of it.
    """
    texts = Texts()
    texts.read(path)
    with deep_recursion():
        builder, scope = _builder(path, texts)
        if scope.facts.error:
            span = scope.facts.error_span
            raise SourceError(scope.facts.error, span.line, span.column)
        chosen = [cls for cls in builder.classes(scope) if wanted in ("", cls.definition.name)]
        for name, value in (given or {}).items():
            taken = [parameter for cls in chosen for parameter in parameters(cls)]
            if chosen and not any(name == p.name or p.kind == "keywords" for p in taken):
                raise UnknownArgumentError(name, [parameter.name for parameter in taken])
            if isinstance(value, str) and any(name == p.name and _is_number(p) for p in taken):
                raise NoNumberError(name)
        built = [graph for cls in chosen if (graph := builder.build(cls, given)) is not None]
        sequences = builder.sequences(scope, texts.text(path), given)
        found = [*built, *[graph for graph in sequences if wanted in ("", graph.name)]]
        held = builder.held(scope, wanted, given or {}) if wanted and not found else None
        return found if held is None else [held]


def _is_number(parameter: ir.Parameter) -> bool:
    """Whether a parameter has a number for its default, or is annotated as one."""
    default, annotation = parameter.default, parameter.annotation
    if isinstance(annotation, ir.Name):
        return annotation.id in ("int", "float")
    value = default.value if isinstance(default, ir.Literal) and annotation is None else None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _builder(path: str, texts: Texts) -> tuple[Builder, ModuleScope]:
    project = Project(texts.facts, texts.lower)
    return Builder(project), project.scope(path)
