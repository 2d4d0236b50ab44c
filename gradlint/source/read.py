"""From a file's bytes to its text, and back without a trace."""

from __future__ import annotations

import codecs
import re

from gradlint.source.lines import dominant_newline, restore, with_line_feeds
from gradlint.source.source import Source, SourceError

COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
COMMENT_OR_BLANK = re.compile(rb"[ \t\f]*(?:#.*)?\Z", re.DOTALL)
NOTEBOOK = ".ipynb"


def read(path: str) -> Source:
    """The text of the file at `path`. Raises `SourceError`, also where it cannot be opened."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}") from None
    return decode(path, data)


def decode(path: str, data: bytes) -> Source:
    """The text that the bytes of the file at `path` stand for.

    Raises `SourceError` for null bytes, an unknown encoding, or bytes that it does not allow.
    """
    if path.endswith(NOTEBOOK):
        from gradlint.source.notebook import decode_notebook

        return decode_notebook(path, data)
    if b"\0" in data:
        raise SourceError("source code cannot contain null bytes", _line_of(data, data.index(b"\0")))
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"byte 0x{data[error.start]:02x} is not valid {encoding.removesuffix('-sig')}"
        raise SourceError(reason, _line_of(data, error.start)) from None
    except (LookupError, ValueError):
        raise SourceError(f"unusable encoding: {encoding}") from None
    return _as_source(path, data, text, encoding)


def encode(source: Source, text: str) -> bytes:
    """The bytes that hold `text` in the form that the file had.

    Byte order mark, encoding and line endings stay; where the file mixed line endings each
    unchanged line keeps its own. A notebook keeps everything but the code that changed.
    Raises `SourceError` where the encoding cannot express the text.
    """
    if source.path.endswith(NOTEBOOK):
        from gradlint.source.notebook import encode_notebook

        return encode_notebook(source, text)
    if source.original:
        text = restore(source.original.decode(source.encoding), source.lines(), text)
    elif source.newline != "\n":
        text = text.replace("\n", source.newline)
    try:
        return text.encode(source.encoding)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise SourceError(f"{text[error.start]!r} does not exist in {source.encoding}", line) from None


def _line_of(data: bytes, at: int) -> int:
    return len(re.findall(rb"\r\n|\r|\n", data[:at])) + 1


def _encoding(data: bytes) -> str:
    """The encoding that a byte order mark or a comment in the first two lines declares."""
    marked = data.startswith(codecs.BOM_UTF8)
    default = "utf-8-sig" if marked else "utf-8"
    cookie = _cookie(data[3:] if marked else data)
    if cookie is None:
        return default
    name, line = cookie
    try:
        codec = codecs.lookup(name).name
        compatible = b"#".decode(name) == "#"
    except LookupError:
        raise SourceError(f"unknown encoding: {name}", line) from None
    except ValueError:
        compatible = False
    if marked and codec != "utf-8":
        raise SourceError(f"encoding {name} contradicts the UTF-8 byte order mark", line)
    if not compatible:
        raise SourceError(f"encoding {name} does not extend ASCII", line)
    return default if codec == "utf-8" else name


def _cookie(data: bytes) -> tuple[str, int] | None:
    """The declared encoding and its line; a second line counts only below a comment or a blank."""
    first, second = [*re.split(rb"\r\n|\r|\n", data[:1000], maxsplit=2), b""][:2]
    if found := COOKIE.match(first):
        return found[1].decode("ascii", "replace"), 1
    if COMMENT_OR_BLANK.match(first) and (found := COOKIE.match(second)):
        return found[1].decode("ascii", "replace"), 2
    return None


def _as_source(path: str, data: bytes, text: str, encoding: str) -> Source:
    if "\r" not in text:
        return Source(path, text, encoding=encoding)
    newline, mixed = dominant_newline(text)
    return Source(path, with_line_feeds(text), newline, encoding, original=data if mixed else b"")
