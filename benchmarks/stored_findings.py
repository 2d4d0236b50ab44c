"""Findings as they are kept between runs, and what tells two runs apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace


class Stored(Struct, frozen=True):
    """One finding; `path` starts below the package's own folder, `text` is the source line."""

    package: str
    path: str
    line: int
    text: str
    rule: str
    name: str
    severity: str
    message: str

    @property
    def title(self) -> str:
        """The rule's code and name."""
        return f"{self.rule} {self.name}"

    @property
    def place(self) -> tuple[str, str, int]:
        """What findings are sorted by."""
        return self.package, self.path, self.line


def read(path: Path) -> tuple[Stored, ...]:
    """The findings that were stored in a file."""
    return tuple(msgspec.json.Decoder(Stored).decode_lines(path.read_bytes()))


def write(path: Path, findings: Iterable[Stored]) -> None:
    """Store findings, one JSON object per line, in a stable order."""
    ordered = sorted(findings, key=lambda finding: (finding.place, finding.rule, finding.message))
    path.write_bytes(msgspec.json.Encoder().encode_lines(ordered))


def difference(old: Sequence[Stored], new: Sequence[Stored]) -> tuple[list[Stored], list[Stored]]:
    """The findings only in `new` and those only in `old`.

    What merely moved to another line of its file is in neither.
    """
    added, removed = _without(new, old), _without(old, new)
    return _unmoved(added, removed), _unmoved(removed, added)


def _without(findings: Iterable[Stored], others: Iterable[Stored]) -> list[Stored]:
    return list((Counter(findings) - Counter(others)).elements())


def _unmoved(findings: Iterable[Stored], others: Iterable[Stored]) -> list[Stored]:
    """Those of `findings` that have no counterpart among `others` on whatever line."""
    left = Counter(replace(finding, line=0) for finding in others)
    kept = []
    for finding in findings:
        anywhere = replace(finding, line=0)
        if left[anywhere]:
            left[anywhere] -= 1
        else:
            kept.append(finding)
    return kept
