"""What a terminal does with text: colours, widths, control characters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

from gradlint.records.finding import Severity

_BIDIRECTIONAL = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys((*range(0x80, 0xA0), *_BIDIRECTIONAL), "\ufffd"),
    **dict.fromkeys((0x2028, 0x2029), " "),
    0x7F: "\u2421",
}
_ONE_LINE: dict[int, str] = {**_VISIBLE, **dict.fromkeys(map(ord, "\t\n\v\f\r\x85"), " ")}


class Style(str, Enum):
    """The SGR parameters of what the reports colour."""

    ERROR = "1;31"
    WARNING = "1;33"
    NOTE = "1;36"
    BOLD = "1"
    FRAME = "34"
    DIM = "2"
    GOOD = "32"


SEVERITY_STYLE: Mapping[Severity, Style] = {
    Severity.ERROR: Style.ERROR,
    Severity.WARNING: Style.WARNING,
    Severity.NOTE: Style.NOTE,
}


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours text, or leaves it alone."""

    enabled: bool

    def __call__(self, text: str, style: Style) -> str:
        """`text` in `style`."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self.enabled and text else text


def wants_color(choice: str, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour: `choice` is always, never or auto.

    Under auto, NO_COLOR comes before FORCE_COLOR, and both before what `stream` is.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return environ.get("TERM") != "dumb" and stream.isatty()


def visible(text: str) -> str:
    """`text` with nothing in it that a terminal would obey: control characters are shown as pictures."""
    return text.translate(_VISIBLE)


def one_line(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey."""
    return text.translate(_ONE_LINE)


def width(character: str) -> int:
    """How many columns a terminal gives to one character: 0, 1 or 2."""
    if character < "\u0300":
        return 1
    import unicodedata

    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
