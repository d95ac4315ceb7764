"""The database file: migrations, the lock, and every way in which the file can be broken."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from backend.errors import StorageError
from backend.files.atomic_write import TEMPORARY
from backend.image import infotext, save
from backend.messages import Picture
from backend.request.request import Request
from backend.store.access_tokens import AccessTokens
from backend.store.accounts import Accounts
from backend.store.database import Database
from backend.store.database_recovery import open_database
from backend.store.history import History, PictureFile
from backend.store.idempotency_keys import IdempotencyKey, IdempotencyKeys, idempotency_row
from backend.store.invitations import Invitations
from backend.store.jobs import Jobs, Lease
from backend.store.password_links import PasswordLinks
from backend.store.picture_files import Pictures
from backend.store.picture_rebuild import rebuild_history
from backend.store.revisions import MIGRATIONS, upgrade
from backend.store.sessions import Sessions
from backend.store.sqlite_file import Lock
from backend.store.tables import REVISION, WORDS, Base, now
from backend.store.users import Users
from backend.store.webhooks import Webhook, Webhooks, webhook_row
from tests.guest import user_of

WAITING, FINISHED = 60, 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "easel.db"


def fill(path: Path) -> None:
    """A database with finished jobs of one picture each, and waiting ones, the first of them running."""
    path.write_bytes(filled())


@cache
def filled() -> bytes:
    """Made once, because that takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "easel.db"
        _fill(path)
        assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing is in a log beside it"
        return path.read_bytes()


def _fill(path: Path) -> None:
    database = Database(path)
    jobs, history, ann = Jobs(database), History(database), Users(database).named("ann").id
    for number in range(FINISHED):
        job = jobs.add_all([Request(prompt=f"finished {number}", seed=number, variation_seed=0)], ann)[0].id
        (lease,) = jobs.lease("gpu", 1)
        history.add(job, lease.token, PictureFile(index=0, path=f"users/ann/{number}.png", width=8, height=8, seed=number,
                                                  infotext="x" * 500, format="png"))
        jobs.finish(job, lease.token, "done")
    for number in range(WAITING):
        jobs.add_all([Request(prompt=f"waiting {number} " + "x" * 1000, seed=number, variation_seed=0)], ann)
    jobs.lease("gpu", 1)
    database.close()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def without_tables(path: Path) -> None:
    """What a running Easel leaves when its file is deleted under it."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "precious.txt").write_text("keep me")


def read_only(path: Path) -> None:
    """SQLite reads but never writes a file whose header asks for a newer write format. (Root ignores file modes.)"""
    with path.open("r+b") as file:
        file.seek(18)
        file.write(b"\3\1")


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def newer(path: Path) -> None:
    run(path, "UPDATE alembic_version SET version_num = '9999'", "ALTER TABLE jobs ADD COLUMN mood VARCHAR")


def hole(path: Path) -> None:
    """One page in the middle overwritten, as a bad disk does."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xee" * 4096)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def without_images(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE images")


def without_words(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"DROP TABLE {WORDS}")


BREAKS: dict[Callable[[Path], None], str] = {
    garbage: "not a database", truncated: "malformed", empty: "empty", without_tables: "no tables", folder: "a folder lies", read_only: "readonly",
    newer: "newer Easel", hole: "", foreign: "not a database of Easel", without_images: "images is missing",
    without_words: "images_words is missing",
}


@pytest.mark.slow
def test_keys_tokens_webhooks_and_logins_outlive_a_broken_file(path: Path) -> None:
    fill(path)
    database = Database(path)
    accounts = Accounts(database, Users(database), {}, ())
    ann = accounts.add("ann", "admin", "ann's own secret")
    accounts.add("bob", "artist", "bob's own secret")
    token, cookie = AccessTokens(database).make(ann.user.id, "a program", ["read"]), Sessions(database).open(ann)
    invitation, link = Invitations(database, accounts).make("viewer"), PasswordLinks(database, accounts).make("bob")
    jobs = [job.id for job in Jobs(database).queue(ann.user.id)[:3]]
    with database.write() as session:
        for job in jobs:
            session.add_all([webhook_row(job, Webhook("https://example.org/told", "a secret")), idempotency_row(job, ann.user.id, IdempotencyKey(f"key of {job}", "d"))])
    database.close()
    run(path, "DROP TABLE meta")
    again, rescue = open_database(path)
    assert rescue and not rescue.unreadable and "paused go on" in rescue.notice
    accounts = Accounts(again, Users(again), {}, ())
    assert list(AccessTokens(again).of(token).scopes) == ["read"] and Sessions(again).of(cookie).owner == ann.user.id
    assert Invitations(again, accounts).of(invitation).role == "viewer" and PasswordLinks(again, accounts).of(link).user.name == "bob"
    for job in jobs:
        assert Webhooks(again).of(job, ann.user.id).url == "https://example.org/told"
        with IdempotencyKeys(again).using(f"key of {job}", ann.user.id) as known:
            assert known.job == job
    again.close()


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_a_broken_file_is_moved_aside_with_a_notice_and_the_house_works(path, damage):
    fill(path)
    damage(path)
    before = path.read_bytes() if path.is_file() else None
    database, rescue = open_database(path)
    assert BREAKS[damage] in rescue.reason
    (broken,) = [found for found in path.parent.glob("easel.db.broken-*") if not found.name.endswith(("-wal", "-shm"))]
    assert rescue.broken == broken and broken.name in rescue.notice
    assert before is None or broken.read_bytes() == before
    jobs = Jobs(database)
    jobs.add_all([Request(prompt="after", seed=1, variation_seed=1)], "ann")
    assert jobs.queue("ann")[-1].request.prompt == "after"
    database.close()
    again, nothing = open_database(path)
    assert nothing is None
    again.close()


@pytest.mark.parametrize("damage", [read_only, newer, without_images, without_words], ids=lambda damage: damage.__name__)
def test_jobs_that_can_be_read_are_carried_over_in_their_order(path, damage):
    fill(path)
    damage(path)
    database, rescue = open_database(path)
    ann = Users(database).named("ann").id
    queue = Jobs(database).queue(ann)
    assert [job.request.prompt.split()[1] for job in queue] == [str(number) for number in range(WAITING)]
    assert {job.state for job in queue} == {"queued"}
    images = 0 if damage is without_images else FINISHED
    assert (rescue.waiting, rescue.ended, rescue.images, rescue.unreadable) == (WAITING, FINISHED, images, 0)
    assert len(History(database).images(ann)) == images
    database.close()


def lost_users(path: Path) -> None:
    """The names are gone; the ids in the rows are still the same."""
    run(path, "DELETE FROM users")


def without_users(path: Path) -> None:
    """As it was before there were ids: rows name their owners by their accounts' names."""
    run(path, *(f"UPDATE {table} SET owner = 'ann'" for table in ("jobs", "images")), "DROP TABLE users")


@pytest.mark.parametrize("damage", [lost_users, without_users], ids=lambda damage: damage.__name__)
def test_what_is_carried_over_still_belongs_to_its_users(path, damage):
    fill(path)
    damage(path)
    newer(path)
    database, _ = open_database(path)
    ann = Users(database).named("ann").id
    assert len(Jobs(database).queue(ann)) == WAITING and len(History(database).images(ann)) == FINISHED
    with database.read() as session:
        assert session.execute(text("SELECT count(*) FROM users")).scalar() == 1
    database.close()


@pytest.mark.parametrize("damage", [hole, truncated], ids=lambda damage: damage.__name__)
def test_around_the_damage_most_is_carried_over(path, damage):
    fill(path)
    damage(path)
    database, rescue = open_database(path)
    assert rescue.waiting + rescue.ended >= (WAITING + FINISHED) // 4
    database.close()


@pytest.mark.slow
def test_changes_that_are_still_in_the_log_are_carried_over(path, tmp_path):
    """A killed process leaves its last transactions in the -wal file; it moves with the database."""
    code = ("import os, sys; from pathlib import Path; from backend.request.request import Request\n"
            "from backend.store.database import Database; from backend.store.jobs import Jobs\n"
            "Jobs(Database(Path(sys.argv[1]))).add_all([Request(prompt='late', seed=1, variation_seed=1)], 'ann'); os._exit(1)")
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name("easel.db-wal").stat().st_size
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        os.link(path.with_name("easel.db-wal"), tmp_path / "kept")      # closing would fold the log into the file
    database, rescue = open_database(path)
    assert rescue.waiting == 1
    database.close()


def test_a_row_that_makes_no_sense_is_counted_not_guessed(path):
    fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET request = 'no json' WHERE place = 15")
        connection.execute("UPDATE jobs SET request = '{\"steps\": -4}' WHERE place = 16")
    newer(path)
    database, rescue = open_database(path)
    assert (rescue.waiting, rescue.unreadable) == (WAITING - 2, 2) and "2 entries" in rescue.notice
    database.close()


def test_a_healthy_file_is_opened_as_it_is(path):
    fill(path)
    database, rescue = open_database(path)
    assert rescue is None and len(Jobs(database).queue(Users(database).named("ann").id)) == WAITING
    assert not list(path.parent.glob("*.broken-*"))
    database.close()


def test_a_file_that_another_program_holds_is_not_taken_for_broken(path, monkeypatch):
    monkeypatch.setattr("backend.store.sqlite_file.BUSY_SECONDS", 0.1)
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            open_database(path)
    assert path.is_file() and not list(path.parent.glob("*.broken-*"))


def test_a_full_disk_is_a_storage_error_and_leaves_the_transaction_out(path):
    database = Database(path)
    jobs = Jobs(database)
    kept = jobs.add_all([Request(seed=1, variation_seed=1)], "ann")[0].id
    with database.read() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
    database.close()
    database = Database(path)
    with database.write() as session:
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full"):
        Jobs(database).add_all([Request(prompt="x" * 50_000, seed=1, variation_seed=1)], "ann")
    assert [job.id for job in Jobs(database).queue("ann")] == [kept]
    database.close()


def test_migrating_an_empty_database_gives_exactly_the_tables(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={
            "compare_type": True, "compare_server_default": True,
            "include_name": lambda name, kind, parents: kind != "table" or not name.startswith(WORDS)})
        assert compare_metadata(context, Base.metadata) == []
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == REVISION
    created = Database(tmp_path / "created.db")
    with created.read() as session:
        assert _shape(inspect(session.connection())) == _shape(inspect(engine))
        assert _index_of_words(session.connection()) == _index_of_words(engine.connect())
    created.close()


def _index_of_words(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.exec_driver_sql(f"SELECT name, sql FROM sqlite_master WHERE sql LIKE '%{WORDS}%' ORDER BY name").all()
    assert [name for name, sql in rows if sql.startswith("CREATE TRIGGER")] == ["images_deleted", "images_inserted", "images_updated"]
    return [(name, " ".join(sql.split())) for name, sql in rows]


def _shape(inspector: object) -> dict[str, object]:
    return {table: (sorted(str(column) for column in inspector.get_columns(table)), inspector.get_pk_constraint(table),
                    sorted(map(str, inspector.get_unique_constraints(table))), inspector.get_foreign_keys(table),
                    sorted(map(str, inspector.get_indexes(table))), inspector.get_check_constraints(table))
            for table in inspector.get_table_names() if table != "alembic_version"}


def test_the_current_revision_is_the_newest_migration():
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


def test_opening_a_new_or_current_database_does_not_import_alembic(path):
    code = ("import sys; from pathlib import Path; from backend.store.database_recovery import open_database\n"
            "for _ in range(2): open_database(Path(sys.argv[1]))[0].close()\n"
            "sys.exit(any(name.startswith('alembic') for name in sys.modules))")
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_the_lock_belongs_to_one(tmp_path):
    lock = Lock(tmp_path / "easel.lock")
    with pytest.raises(StorageError, match="Another Easel"):
        Lock(tmp_path / "easel.lock")
    lock.release()
    Lock(tmp_path / "easel.lock").release()


def test_a_lock_that_cannot_be_taken_says_what_to_do(tmp_path):
    (tmp_path / "easel.lock").write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageError, match="delete it"):
        Lock(tmp_path / "easel.lock")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        Lock(tmp_path / "file" / "easel.lock")


# ---- pictures without rows ----


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    database = Database(path)
    yield History(database)
    database.close()


def drawn(owner: str, index: int, **values: object) -> tuple[Lease, Picture]:
    request = Request(prompt="a red circle", checkpoint="demo", width=64, height=72, seed=5, variation_seed=3,
                      batch_count=3, **values)
    lease = Lease(job="j", owner=owner, token="t", created=now(), request=request, indices=(index,))
    return lease, Picture("j", index, 64, 72, bytes(64 * 72 * 3), {"Model hash": "abcdef1234"})


@pytest.mark.parametrize("owner", ["local", "ann", "../../etc", "ann@example.com", "Jürgen", ".."])
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_pictures_without_rows_come_back_with_owner_and_request(tmp_path, history, owner, kind):
    pictures = Pictures(tmp_path / "outputs", user_of)
    lease, picture = drawn(owner, 2, image_format=kind)
    file = pictures.write(lease, picture)
    assert (tmp_path / "outputs") in pictures.file(file.path).resolve().parents
    assert rebuild_history(pictures.outputs, history, user_of) == 1
    (image,) = history.images(owner)
    assert image.request == lease.request.of_image(2).to_json()
    assert (image.seed, image.width, image.height, image.format) == (7, 64, 72, kind)
    assert image.infotext == infotext.write(lease.request.of_image(2), picture.facts)
    assert abs((image.created - lease.created).total_seconds()) <= 1
    assert history.path(image.id, owner) == file.path
    assert rebuild_history(pictures.outputs, history, user_of) == 0


def test_pictures_of_other_programs_and_broken_files_do_no_harm(tmp_path, history):
    outputs = tmp_path / "outputs"
    picture = drawn("local", 0)[1]
    save.save(picture, outputs / "a1111.png", "a cat\nSteps: 7, Sampler: Euler a, CFG scale: 5, Seed: 99, Size: 64x72")
    save.save(picture, outputs / "plain.jpg", "")
    (outputs / "broken.png").write_bytes(b"not a picture")
    (outputs / "notes.txt").write_text("hello")
    pictures = Pictures(outputs, user_of)
    assert rebuild_history(pictures.outputs, history, user_of) == 2
    by_name = {image.name: image for image in history.images("local")}
    assert by_name["a1111.png"].request["steps"] == 7 and by_name["a1111.png"].seed == 99
    assert by_name["plain.jpg"].request["width"] == 64
    assert (outputs / "broken.png").exists()


def test_the_same_job_and_index_give_the_same_file(tmp_path):
    pictures = Pictures(tmp_path, user_of)
    lease, picture = drawn("ann", 1)
    first, second = pictures.write(lease, picture), pictures.write(lease, picture)
    assert first == second and len(list(tmp_path.rglob("*.png"))) == 1


def test_files_in_the_making_are_swept(tmp_path):
    pictures = Pictures(tmp_path, user_of)
    pictures.write(*drawn("ann", 1))
    half = tmp_path / "users" / "ann" / f".abc{TEMPORARY}"
    half.write_bytes(b"half")
    os.utime(half, (1, 1))
    writing = half.with_name(f".def{TEMPORARY}")
    writing.write_bytes(b"now")
    pictures.sweep(time.time() - 60)
    assert writing.exists()
    assert not half.exists() and len(list(tmp_path.rglob("*.png"))) == 1
