"""Hashes of model files in the database, and the file that they were kept in before."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from backend import Backend, Settings
from backend.catalog.fingerprints import Fingerprint
from backend.catalog.model_catalog import ModelCatalog
from backend.store.database import Database
from backend.store.model_hashes import ModelHashes
from tests.pure.test_catalog import write

STATE, SHA = Fingerprint(5, 6, 7), "ab" * 32


def test_a_hash_is_kept_for_one_state_of_one_path(database: Database) -> None:
    hashes = ModelHashes(database)
    for path in ("/models/a", "/models/\udcff \u00e4"):
        hashes.remember(path, STATE, SHA)
        for known in (hashes, ModelHashes(database)):
            assert known.of(path, STATE) == known.of(path, Fingerprint(5, 6)) == SHA
            assert known.of(path, Fingerprint(5, 7)) == known.of("/models/b", STATE) == ""
    hashes.remember("/models/a", Fingerprint(8, 9), "cd" * 32)
    assert ModelHashes(database).of("/models/a", Fingerprint(8, 9)) == "cd" * 32


def test_the_catalogue_reads_no_file_twice(tmp_path: Path) -> None:
    write(tmp_path / "models" / "checkpoints" / "x.safetensors")
    database = Database(tmp_path / "easel.db")
    ModelCatalog((tmp_path / "models",), ModelHashes(database)).remember_hash("checkpoint", "x", SHA)
    later = ModelCatalog((tmp_path / "models",), ModelHashes(database))
    assert later.find("checkpoint", SHA[:10]).title == f"x.safetensors [{SHA[:10]}]"
    os.utime(tmp_path / "models" / "checkpoints" / "x.safetensors", ns=(1, 1))
    assert later.find("checkpoint", "x").sha256 == ""


def test_a_database_that_refuses_costs_nothing_but_the_memory_of_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    hashes = ModelHashes(database)
    with database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE model_hashes")
    hashes.remember("/models/a", STATE, SHA)
    assert hashes.of("/models/a", STATE) == SHA


def test_the_old_file_is_taken_over_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    (tmp_path / "hashes.json").write_text(json.dumps({"/models/a": [5, 6, SHA]}))
    assert ModelHashes(database, tmp_path).of("/models/a", STATE) == SHA
    assert not (tmp_path / "hashes.json").exists() and (tmp_path / "hashes.json.old").exists()
    assert ModelHashes(database, tmp_path).of("/models/a", STATE) == SHA


GARBAGE = [
    "", "{", "[]", '{"a": 1}', '{"a": [1, 2]}', "\x00", "[" * 100_000, '{"a": [1e999, 1, ""]}', '{"a": [NaN, 1, ""]}', "9" * 10_000,
    json.dumps({"\ud800": [1, 1, SHA]}), json.dumps({"a": [-1, 1, SHA]}), json.dumps({"a": [10**30, 1, SHA]}), json.dumps({"a": [True, 1, SHA]}),
    '{"a": [[], {}, null]}',
    '{"a": [1, 1, "../../etc"]}', '{"a": {"0": 1}}', "null", '"text"', "\ud83d",
]


@pytest.mark.parametrize("content", GARBAGE, ids=lambda text: repr(text[:30]))
def test_garbage_in_the_old_file_keeps_nothing_from_starting(tmp_path: Path, content: str) -> None:
    (tmp_path / "hashes.json").write_text(content, "utf-8", "surrogatepass")
    Backend(Settings(data=tmp_path, models=(tmp_path / "models",)), start_workers=False).close()
    assert (tmp_path / "hashes.json.old").exists()
    with sqlite3.connect(tmp_path / "easel.db") as connection:
        rows = connection.execute("SELECT path FROM model_hashes").fetchall()
    assert rows in ([], [("\\ud800",)])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "folder", "device"])
def test_no_regular_file_in_its_place_keeps_nothing_from_starting(tmp_path: Path, make: object) -> None:
    make(tmp_path / "hashes.json")
    Backend(Settings(data=tmp_path, models=(tmp_path / "models",)), start_workers=False).close()
