"""Writing a fixed file back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gradlint.source.read import decode, encode
from gradlint.source.source import Source, SourceError


class WriteError(Exception):
    """The file was left as it is; the message says why."""


def write(source: Source, text: str) -> None:
    """Replace the file that `source` was read from by one that holds `text`.

    Encoding, byte order mark, line endings and permissions stay, and so does a symbolic link to
    the file. Other processes see the old or the new file, never a part. Raises WriteError if the
    file cannot be written or is no longer what was read.
    """
    try:
        _replace(source, Path(os.path.realpath(source.path)), encode(source, text))
    except OSError as error:
        raise WriteError(f"{source.path} cannot be written: {error.strerror or error}") from None
    except SourceError as error:
        raise WriteError(f"{source.path} cannot be written: {error}") from None


def _replace(source: Source, target: Path, data: bytes) -> None:
    if not os.access(target, os.W_OK):
        raise WriteError(f"{source.path} cannot be written: it is read-only")
    status = target.stat()
    temporary = _fill_beside(target, data)
    try:
        with suppress(OSError, AttributeError):
            os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(status.st_mode & 0o7777)
        if not _is_unchanged(source, target):
            raise WriteError(f"{source.path} was not fixed: it has changed since it was read")
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fill_beside(target: Path, data: bytes) -> Path:
    """A new file in the same folder, so that it can take the target's place in one step."""
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(file.name)


def _is_unchanged(source: Source, target: Path) -> bool:
    try:
        return decode(source.path, target.read_bytes()) == source
    except SourceError:
        return False
