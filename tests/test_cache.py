"""A cache never lies and is never in the way, whatever happens to its file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlint.lint.cache import SCHEMA, Cache
from gradlint.records.finding import Claim, Metric

ENTRIES = {f"key {number}": bytes([number]) * 300 for number in range(100)}

WRITER = """
import sys
from gradlint.lint.cache import Cache

for turn in range(20):
    cache = Cache(sys.argv[1])
    cache.put_many({f"{sys.argv[2]} {turn} {number}": sys.argv[2].encode() for number in range(50)})
    assert len(cache.get_many([f"{sys.argv[2]} {turn} {number}" for number in range(50)])) == 50
    cache.close()
"""


def fill(folder: Path) -> Path:
    cache = Cache(folder)
    cache.put_many(ENTRIES)
    cache.close()
    return cache.path


def read(folder: Path) -> dict[str, bytes]:
    cache = Cache(folder)
    found = cache.get_many(list(ENTRIES))
    cache.close()
    return found


def test_what_was_put_is_found_by_the_next_run(tmp_path: Path) -> None:
    assert read(tmp_path / "new") == {}
    assert not (tmp_path / "new").exists()
    fill(tmp_path / "new")
    assert read(tmp_path / "new") == ENTRIES
    cache = Cache(tmp_path / "new")
    cache.put_many({"key 1": b"changed"})
    assert cache.get_many(["key 1", "nowhere"]) == {"key 1": b"changed"}
    assert cache.get_many([f"unknown {number}" for number in range(2000)]) == {}
    assert cache.clear() > 300 * len(ENTRIES)
    assert read(tmp_path / "new") == {}


def test_processes_write_at_once(tmp_path: Path) -> None:
    names = ("one", "two", "three")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "cache"), name]) for name in names
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    cache = Cache(tmp_path / "cache")
    for name in names:
        keys = [f"{name} {turn} {number}" for turn in range(20) for number in range(50)]
        assert cache.get_many(keys) == dict.fromkeys(keys, name.encode())
    cache.close()


def test_another_process_may_make_the_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda path: False)
        cache.put_many(ENTRIES)
    assert cache.get_many(list(ENTRIES)) == ENTRIES


@settings(deadline=None, max_examples=60)
@given(where=st.floats(0, 1), damage=st.binary(min_size=1, max_size=5000))
def test_a_damaged_file_loses_entries_but_never_changes_them(where: float, damage: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = fill(Path(name))
        content = bytearray(path.read_bytes())
        start = int(where * len(content))
        content[start : start + len(damage)] = damage
        path.write_bytes(content)
        assert read(Path(name)).items() <= ENTRIES.items()
        cache = Cache(name)
        cache.put_many(ENTRIES)
        assert cache.get_many(list(ENTRIES)) == ENTRIES
        cache.close()


@pytest.mark.parametrize("size", [0, 1, 50, 4096, 5000])
def test_a_truncated_file_heals(tmp_path: Path, size: int) -> None:
    path = fill(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    assert read(tmp_path).items() <= ENTRIES.items()
    fill(tmp_path)
    assert read(tmp_path) == ENTRIES


@pytest.mark.parametrize("version", [0, SCHEMA, SCHEMA + 1])
def test_the_file_of_another_schema_is_replaced(tmp_path: Path, version: int) -> None:
    path = Cache(tmp_path).path
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entry (name TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert read(tmp_path) == {}
    fill(tmp_path)
    assert read(tmp_path) == ENTRIES


def test_a_file_deleted_under_an_open_cache_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put_many(ENTRIES)
    Cache(tmp_path).clear()
    cache.put_many(ENTRIES)
    assert cache.get_many(list(ENTRIES)).items() <= ENTRIES.items()
    cache.close()
    fill(tmp_path)
    assert read(tmp_path) == ENTRIES


def test_a_folder_that_cannot_be_made_switches_the_cache_off(tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("")
    cache = Cache(obstacle / "folder")
    cache.put_many(ENTRIES)
    assert cache.get_many(list(ENTRIES)) == {}
    cache.close()


def test_a_file_that_another_process_holds_switches_the_cache_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradlint.lint.cache._PATIENCE", 0.01)
    other = sqlite3.connect(fill(tmp_path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    cache = Cache(tmp_path)
    cache.put_many({"new": b"value"})
    cache.close()
    other.execute("COMMIT")
    other.close()
    assert read(tmp_path) == ENTRIES


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for day in range(10):
        monkeypatch.setattr("time.time", lambda day=day: now + 86_400 * day)
        cache = Cache(tmp_path, limit=300_000)
        cache.put_many({f"{day} {number}": bytes(20_000) for number in range(2)})
        assert len(cache.get_many(["0 0"])) == 1
        cache.close()
    cache = Cache(tmp_path, limit=300_000)
    cache.put_many({"last": bytes(1)})
    cache.close()
    left = cache.get_many([f"{day} {number}" for day in range(10) for number in range(2)])
    cache.close()
    assert 8 <= len(left) <= 14
    assert {"0 0", "9 0", "9 1"} <= left.keys()
    assert not {"0 1", "1 0", "1 1"} & left.keys()
    assert cache.path.stat().st_size < 450_000


def test_a_new_folder_is_marked_as_a_cache(tmp_path: Path) -> None:
    fill(tmp_path / "cache")
    assert (tmp_path / "cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172")
    assert (tmp_path / "cache" / ".gitignore").read_text() == "*\n"


def test_numbers_of_claims_look_alike_before_and_behind_the_cache() -> None:
    claim = Claim(Metric.NON_FINITE_GRADIENT, "f:x", 1, 2, least=3)
    assert repr((claim.bound, claim.predicted, claim.least)) == "(1.0, 2.0, 3.0)"
