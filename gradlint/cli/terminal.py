"""Writing to the streams: colours, encodings, and readers that leave early."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from gradlint.cli.errors import UsageError


def print_out(text: str) -> None:
    """Write to the standard output; nothing happens where its reader has gone."""
    _write(sys.stdout, text)


def print_error(text: str) -> None:
    """Write a line to the standard error."""
    _write(sys.stderr, f"{text}\n")


def save(path: str, text: str) -> None:
    """Write a report to a file, as UTF-8; raises `UsageError` where that is impossible."""
    try:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror or error}") from None


def print_bytes(data: bytes) -> None:
    """Write bytes to the standard output as they are."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write(stream: TextIO, text: str) -> None:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let what is still buffered vanish, so that the interpreter does not complain at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
