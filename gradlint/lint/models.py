"""The models of one file, for those who want to look at one rather than be told what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from gradlint.graph.build import Builder, parameters
from gradlint.lint.deep import deep_recursion
from gradlint.records.facts import FileFacts
from gradlint.records.graph import ModelGraph
from gradlint.records.ir import Omitted, Statement
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.source.read import decode
from gradlint.source.source import SourceError
from gradlint.syntax.extract import extract, lower_omitted


class UnknownArgumentError(Exception):
    """No constructor takes an argument of this name; `known` are those that one does."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known


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
        with open(path, "rb") as file:
            self._texts[path] = decode(path, file.read()).text


def model_names(path: str) -> list[str]:
    """The models of a file: classes that derive from torch.nn.Module, and sequences outside of them."""
    with deep_recursion():
        texts = Texts()
        builder, scope = _builder(path, texts)
        sequences = [graph.name for graph in builder.sequences(scope, texts.text(path))]
        return [*[cls.definition.name for cls in builder.classes(scope)], *sequences]


def models(path: str, wanted: str = "", given: Mapping[str, object] | None = None) -> list[ModelGraph]:
    """The graphs of the models in a file, or of the one that is wanted, constructed with what is given.

    Models without a forward pass are left out. Raises `SourceError` where the file does not parse,
    `OSError` where it cannot be read, and `UnknownArgumentError` where no constructor takes what is given.
    """
    texts = Texts()
    texts.read(path)
    with deep_recursion():
        builder, scope = _builder(path, texts)
        if scope.facts.error:
            span = scope.facts.error_span
            raise SourceError(scope.facts.error, span.line, span.column)
        chosen = [cls for cls in builder.classes(scope) if wanted in ("", cls.definition.name)]
        for name in given or ():
            taken = [parameter for cls in chosen for parameter in parameters(cls)]
            if chosen and not any(name == p.name or p.kind == "keywords" for p in taken):
                raise UnknownArgumentError(name, [parameter.name for parameter in taken])
        built = [graph for cls in chosen if (graph := builder.build(cls, given)) is not None]
        sequences = builder.sequences(scope, texts.text(path), given)
        return [*built, *[graph for graph in sequences if wanted in ("", graph.name)]]


def _builder(path: str, texts: Texts) -> tuple[Builder, ModuleScope]:
    project = Project(texts.facts, texts.lower)
    return Builder(project), project.scope(path)
