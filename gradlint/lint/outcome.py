"""What examining one file gave, and when it still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from gradlint.records.finding import Finding
from gradlint.records.ir import Node
from gradlint.records.suppression import Suppression
from gradlint.semantics.answers import answer, is_question
from gradlint.source.listing import listing
from gradlint.source.source import Cell

Given = Mapping[str, Mapping[str, object]]
"""Arguments of constructors by their names, by the name of the model."""


class Consulted(Struct, frozen=True, array_like=True):
    """What was read of another file: its digest, for every name the digest of what binds it, and for every
    question the answer.

    Of a folder it is which files it holds, and which of those that were looked for.
    """

    path: str
    content: str
    names: dict[str, str]


class Said(dict[str, str]):
    """What a file says now: the digests of what binds its names, and any answer that is asked for."""

    def __init__(self, names: Mapping[str, str] = {}, others: str = "", text: str = "") -> None:
        super().__init__(names)
        self._others = others
        self._text = text

    def __missing__(self, name: str) -> str:
        return answer(name, self._text) if is_question(name) else self._others


class Outcome(Struct, frozen=True):
    """What an examination of one file found: the findings of all rules, and its suppressions.

    Spans count in the joined text; `cells` are (number, first line, line count) of a notebook.
    `consulted` are the other files and the folders that were read.
    """

    findings: tuple[Finding, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    cells: tuple[tuple[int, int, int], ...] = ()
    reasons: dict[str, int] = {}
    parsed: bool = False
    consulted: tuple[Consulted, ...] = ()


class Task(Struct, frozen=True):
    """One file to examine. `path` is absolute; `is_named` if the user named it rather than its folder."""

    path: str
    is_named: bool = False


def digest(data: bytes) -> str:
    """A short digest of a file's contents."""
    return blake2b(data, digest_size=16).hexdigest()


def digest_of_folder(path: str) -> str:
    """A short digest of which files a folder holds; empty for what is none."""
    found = listing(path)
    return "" if found is None else digest(found.encode("utf-8", "surrogatepass"))


def outcome_key(path: str, content: str, fingerprint: str) -> str:
    """The key under which the outcome for a file with this content is kept."""
    return digest(f"outcome\0{fingerprint}\0{path}\0{content}".encode("utf-8", "surrogatepass"))


def is_current(outcome: Outcome, digest_of: Callable[[str], str], said_in: Callable[[str], Said]) -> bool:
    """Whether all that an outcome rests on is as it was.

    `digest_of` gives the digest of a file, "" for none; `said_in` what it says now.
    """
    return all(_is_unchanged(each, digest_of, said_in) for each in outcome.consulted)


def _is_unchanged(
    consulted: Consulted, digest_of: Callable[[str], str], said_in: Callable[[str], Said]
) -> bool:
    if digest_of(consulted.path) == consulted.content:
        return True
    now = said_in(consulted.path)
    return all(now[name] == content for name, content in consulted.names.items())


def binding_digest(lines: Sequence[str], statements: Iterable[Node], is_changed: bool = False) -> str:
    """The digest of the lines that bind a name, and of whether others change what it means; "" where nothing
    binds it.
    """
    spans = [statement.span for statement in statements]
    text = "\n".join(["\n".join(lines[span.line - 1 : span.end_line]) for span in spans])
    text += "\0" if is_changed else ""
    return digest(text.encode()) if spans else ""


def cells_of(outcome: Outcome) -> tuple[Cell, ...]:
    """The cells of a notebook's outcome."""
    return tuple([Cell(*cell) for cell in outcome.cells])
