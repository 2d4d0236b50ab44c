"""Writing to the streams: colours, encodings, and readers that leave early."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TextIO

from gradlint.cli.errors import UsageError


def open_missing_streams() -> None:
    """Open what the process was started without, so that no other file takes its place."""
    for name, mode in (("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def print_out(text: str) -> None:
    """Write to the standard output; nothing happens where its reader has gone.

    Raises `UsageError` where it cannot be written.
    """
    with _for_output():
        _write(sys.stdout, text)


def print_error(text: str) -> None:
    """Write a line to the standard error, as far as that is possible."""
    with suppress(OSError):
        _write(sys.stderr, f"{text}\n")


def save(path: str, text: str) -> None:
    """Write a report to a file, as UTF-8; raises `UsageError` where that is impossible."""
    try:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror or error}") from None


def print_bytes(data: bytes) -> None:
    """Write bytes to the standard output as they are; raises `UsageError` where that is impossible."""
    with _for_output(), suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextmanager
def _for_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"the standard output cannot be written: {error.strerror or error}") from None


def _write(stream: TextIO, text: str) -> None:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except OSError:
        _silence(stream)
        raise


def _silence(stream: TextIO) -> None:
    """Let what is still buffered vanish, so that the interpreter does not complain at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
