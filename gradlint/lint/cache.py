"""What earlier runs found out, kept in one SQLite file.

A cache may be lost at any time and must never be in the way: a damaged file, which the checksums of
its entries also tell, is deleted and begun anew, and a folder that cannot be written switches the
cache off.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlite3 import Connection

SCHEMA = 1
LIMIT = 200_000_000
"""The size in bytes above which the entries used longest ago are dropped."""

_DAY = 86_400
_BATCH = 500
_PATIENCE = 10.0
_PASSING = ("locked", "busy", "readonly", "unable to open", "is full")
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of gradlint, safe to delete.\n"

T = TypeVar("T")


class Cache:
    """Bytes under keys, in a folder that several processes may use at once."""

    def __init__(self, directory: str | Path, limit: int = LIMIT) -> None:
        self.path = Path(directory) / f"cache-{SCHEMA}.sqlite"
        self._limit = limit
        self._connection: Connection | None = None
        self._is_off = False
        self._has_written = False

    def get_many(self, keys: Collection[str]) -> dict[str, bytes]:
        """The entries that exist among `keys`."""
        return self._attempt(lambda connection: _select(connection, list(keys)), {}, create=False)

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Keep `items`, in place of what their keys held."""
        if items:
            self._has_written = True
            self._attempt(lambda connection: _insert(connection, items), None)

    def close(self) -> None:
        """Let go of the file; after writing, entries beyond the size limit are dropped first."""
        if self._has_written:
            self._has_written = False
            self._attempt(lambda connection: _evict(connection, self._limit), None)
        self._disconnect()

    def clear(self) -> int:
        """Delete everything; the number of bytes that this freed."""
        self._disconnect()
        size = sum(path.stat().st_size for path in self._files() if path.exists())
        self._delete()
        return size

    def _attempt(self, operation: Callable[[Connection], T], otherwise: T, *, create: bool = True) -> T:
        """What `operation` returns, on a new file if the present one is damaged; or `otherwise`."""
        try:
            from sqlite3 import DatabaseError
        except ImportError:
            return otherwise
        for _ in range(2):
            if self._is_off:
                break
            try:
                if not create and not self.path.exists():
                    break
                return operation(self._connect())
            except (DatabaseError, UnicodeDecodeError) as error:
                self._recover(error)
            except OSError:
                self._is_off = True
        return otherwise

    def _recover(self, error: Exception) -> None:
        self._disconnect()
        if any(cause in str(error) for cause in _PASSING):
            self._is_off = True
            return
        try:
            self._delete()
        except OSError:
            self._is_off = True

    def _connect(self) -> Connection:
        if self._connection is None:
            import sqlite3

            if not self.path.exists():
                _prepare(self.path.parent)
            self._connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            _set_up(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _delete(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        for suffix in ("-wal", "-shm", "-journal", ""):
            yield self.path.with_name(self.path.name + suffix)


def default_directory() -> str:
    """The folder for caches that the platform provides."""
    from platformdirs import user_cache_dir

    return user_cache_dir("gradlint", appauthor=False)


def _prepare(folder: Path) -> None:
    """Make the folder, marked so that backups and version control pass it over."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "CACHEDIR.TAG").write_text(_TAG)
        (folder / ".gitignore").write_text("*\n")


def _set_up(connection: Connection) -> None:
    from sqlite3 import DatabaseError, OperationalError

    connection.execute("PRAGMA synchronous = NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA:
        return
    if version:
        raise DatabaseError(f"schema {version} instead of {SCHEMA}")
    with suppress(OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS entry"
            " (key TEXT PRIMARY KEY, used INTEGER NOT NULL, value BLOB NOT NULL)"
        )
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _select(connection: Connection, keys: list[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    aged: list[str] = []
    today = int(time.time()) // _DAY
    for key, used, value in _rows(connection, "key, used, value", keys):
        found[key] = _opened(key, value)
        if used != today:
            aged.append(key)
    if aged:
        _touch(connection, aged, today)
    return found


def _rows(connection: Connection, columns: str, keys: list[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        marks = ",".join("?" * len(batch))
        yield from connection.execute(f"SELECT {columns} FROM entry WHERE key IN ({marks})", batch)


def _touch(connection: Connection, keys: list[str], today: int) -> None:
    """Remember that entries were used, at most once a day and only if nobody is in the way."""
    from sqlite3 import OperationalError

    connection.execute("PRAGMA busy_timeout = 0")
    with suppress(OperationalError), connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE entry SET used = ? WHERE key = ?", [(today, key) for key in keys])
    connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")


def _insert(connection: Connection, items: Mapping[str, bytes]) -> None:
    from sqlite3 import DatabaseError

    today = int(time.time()) // _DAY
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO entry VALUES (?, ?, ?)",
            [(key, today, _sealed(key, value)) for key, value in items.items()],
        )
        if sum(count for (count,) in _rows(connection, "count(value)", list(items))) != len(items):
            raise DatabaseError("what was written cannot be found")


def _evict(connection: Connection, limit: int) -> None:
    """Drop what was used longest ago until a quarter of the limit is free again."""
    surplus = _size(connection) - limit
    if surplus <= 0:
        return
    surplus += limit // 4
    victims: list[tuple[int]] = []
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for row, length in connection.execute("SELECT rowid, length(value) FROM entry ORDER BY used, rowid"):
            if surplus <= 0:
                break
            surplus -= length
            victims.append((row,))
        connection.executemany("DELETE FROM entry WHERE rowid = ?", victims)


def _size(connection: Connection) -> int:
    """The bytes in use; pages that are free will be used again."""
    pages, free, page_size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_size)


def _sealed(key: str, value: bytes) -> bytes:
    return _checksum(key, value) + value


def _opened(key: object, sealed: object) -> bytes:
    """The value without its checksum; DatabaseError if key or value is damaged."""
    if isinstance(key, str) and isinstance(sealed, bytes) and sealed[:4] == _checksum(key, sealed[4:]):
        return sealed[4:]
    from sqlite3 import DatabaseError

    raise DatabaseError("the checksum of an entry is wrong")


def _checksum(key: str, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key.encode("utf-8", "surrogatepass"))).to_bytes(4, "big")
