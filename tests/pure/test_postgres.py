"""What several front processes on one PostgreSQL rely on, and what is said where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from argon2 import PasswordHasher
from sqlalchemy import inspect, select, text, update

from backend.errors import DatabaseAway, InvalidRequest, StorageError
from backend.flags import Refusal, parser, settings_from
from backend.http.accounts.authentication import Credentials, Denied
from backend.http.accounts.login_throttle import ACCOUNT_TRIES, TRIES
from backend.request.request import Request
from backend.store import fronts
from backend.store.accounts import Accounts
from backend.store.damaged_rows import damage
from backend.store.database import Database
from backend.store.fronts import Fronts
from backend.store.job_rows import pending_jobs
from backend.store.jobs import Jobs
from backend.store.revisions import upgrade
from backend.store.shared_login_tries import LoginTries
from backend.store.tables import REVISION, Base, LoginTryRow, in_request, now
from backend.store.user_limits import UserLimits
from backend.store.users import Users
from backend.store.webhooks import Webhook, Webhooks, webhook_row
from tests.guest import Guest
from tests.postgres import PostgresServer, free_port
from tests.tiny.house import open_house

WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.empty_tables()


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Database, Database]]:
    """The same one, as two fronts have it."""
    both = Database(url), Database(url)
    yield both
    for each in both:
        each.close()


def add(jobs: Jobs, count: int) -> list[str]:
    return [job.id for job in jobs.add_all([Request(checkpoint="demo", seed=number, variation_seed=1) for number in range(count)], "ann")]


# ---- its tables ----


def test_a_new_one_gets_exactly_the_tables_and_an_older_one_what_it_lacks(postgres: PostgresServer) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = Database(postgres.new_database())
    with database.write() as session:
        session.execute(text("DROP TABLE fronts, login_tries"))
        session.execute(text("UPDATE alembic_version SET version_num = '0017'"))
    again = Database(database.url)
    with again.write() as session:
        upgrade(session.connection())
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        changes = compare_metadata(context, Base.metadata)
        assert [change[3].name for change in changes] == ["words"], "what `postgres_objects` adds"
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == REVISION
        assert set(inspect(session.connection()).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="written by a newer Easel"):
        Database(database.url)
    database.close()
    again.close()


def test_a_view_writes_nothing_and_no_text_is_too_strange(url: str) -> None:
    database = Database(url)
    with pytest.raises(StorageError, match="read-only"), database.read() as session:
        session.execute(text("DELETE FROM jobs"))
    with database.write() as session:
        session.execute(text("INSERT INTO meta VALUES (:key, :value)"), [{"key": "a\0b", "value": "\U0001f431 \ufffe"}])
        assert session.scalar(text("SELECT value FROM meta WHERE key = :key"), {"key": "a\0b"}) == "\U0001f431 \ufffe"
    database.close()


def test_values_of_stored_requests_read_alike_in_both(database: Database) -> None:
    Jobs(database).add_all([Request(seed=7, variation_seed=1, prompt="true", save_incomplete_images=True)], "ann")
    names = ("prompt", "seed", "save_incomplete_images", "save_grid", "no such field")
    with database.read() as session:
        assert session.execute(select(*map(in_request, names))).one() == ("true", "7", "1", "0", None)


def test_damaged_rows_are_counted(url: str) -> None:
    database = Database(url)
    add(Jobs(database), 2)
    assert damage(database) == ""
    with database.write() as session:
        session.execute(text("UPDATE jobs SET request = '[1]' WHERE place = 1"))
    assert "1 job in the database" in damage(database)
    assert Jobs(database).lease("cpu", 2)[0].request.seed == 1
    database.close()


# ---- several at once ----


def test_two_fronts_lease_every_job_once(pair: tuple[Database, Database]) -> None:
    first = Jobs(pair[0])
    ids = add(first, 30)
    both = first, Jobs(pair[1])

    def all_of(jobs: Jobs) -> list[str]:
        leases = []
        while found := jobs.lease("cpu", 2, held=["none"]):
            leases += found
        return [lease.job for lease in leases]

    with ThreadPoolExecutor(2) as threads:
        leased = [*threads.map(all_of, both)]
    assert sorted([*leased[0], *leased[1]]) == sorted(ids)


def test_what_another_front_does_is_read_again(pair: tuple[Database, Database]) -> None:
    one, two = Jobs(pair[0]), Jobs(pair[1])
    ids = add(one, 3)
    two.read_again(set(ids))
    assert [line.id for line in two.overview("ann").jobs] == ids
    (lease,) = two.lease("cpu", 1)
    one.read_again({lease.job})
    assert [line.state for line in one.overview("ann").jobs] == ["running", "queued", "queued"]
    one.cancel_all("ann", "queued")
    two.read_again(set(ids))
    assert two.overview("ann").total == 1
    two.pause("ann", on=True)
    one.read_pauses()
    assert one.overview("ann").paused
    two.finish(lease.job, lease.token, "done")
    one.read_again()
    assert one.overview("ann").total == 0


def test_jobs_of_a_front_whose_beat_stands_still_wait_again(pair: tuple[Database, Database]) -> None:
    time = [0.0]
    one, two = (Fronts(database, "here", lambda: time[0]) for database in pair)
    jobs = Jobs(pair[1])
    (job,) = add(jobs, 1)
    assert two.beat() == (0, []) and one.beat() == (1, [])
    (lease,) = jobs.lease("cpu", 1)
    for _ in range(3):      # it beats
        time[0] += fronts.GONE_SECONDS
        two.beat()
        assert one.beat() == (1, [])
    time[0] += fronts.GONE_SECONDS
    assert one.beat() == (0, [pair[1].front])
    survivor = Jobs(pair[0])
    assert [change.state for change in survivor.take_over(pair[1].front)] == ["queued"]
    one.leave(pair[1].front)
    assert jobs.finish(job, lease.token, "done") is None, "what the dead front's worker says later counts no more"
    assert survivor.lease("cpu", 1)[0].job == job


def test_time_in_which_nobody_could_beat_does_not_count(pair: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch) -> None:
    time = [0.0]
    one, two = (Fronts(database, "here", lambda: time[0]) for database in pair)
    two.beat()
    one.beat()
    with monkeypatch.context() as patch:
        patch.setattr(one, "_beats", lambda: (_ for _ in ()).throw(DatabaseAway("away")))
        time[0] += 5 * fronts.GONE_SECONDS
        with pytest.raises(DatabaseAway):
            one.beat()
    assert one.beat() == (1, [])


def test_a_webhook_is_sent_by_one_front(pair: tuple[Database, Database]) -> None:
    jobs, moment = Jobs(pair[0]), now()
    jobs.add_all([Request(seed=1, variation_seed=1)], "ann", (), lambda ids: [webhook_row(ids[0], Webhook("https://example.org"))])
    (lease,) = jobs.lease("cpu", 1)
    jobs.finish(lease.job, lease.token, "done")
    later = moment + timedelta(seconds=5)
    assert [len(Webhooks(database).due(later, (), 4)) for database in pair] == [1, 0]
    assert len(Webhooks(pair[1]).due(later + timedelta(minutes=3), (), 4)) == 1, "one that told nothing is tried again"


# ---- what is counted over all fronts ----


def test_the_limit_holds_where_two_fronts_are_asked_in_the_same_instant(url: str, tmp_path: Path) -> None:
    houses = [open_house(tmp_path / name, start_workers=False, database_url=url, limits={"queued": 7}) for name in "ab"]
    together = Barrier(len(houses) * 8)

    def ask(house: Guest) -> int:
        together.wait()
        with suppress(InvalidRequest):
            house.submit()
            return 1
        return 0

    with ThreadPoolExecutor(len(houses) * 8) as threads:
        queued = sum(threads.map(ask, houses * 8))
    assert queued == 7
    with houses[0].backend._components.database.read() as session:
        assert pending_jobs(session, houses[0].user.id) == 7
    for house in houses:
        house.close()


def test_a_limit_that_an_admin_changes_holds_at_the_other_front(pair: tuple[Database, Database]) -> None:
    one, two = map(UserLimits, pair)
    assert two.of("ann") == {}
    one.keep("ann", {"queued": 3})
    two._read.forget()      # as after the two seconds
    assert one.of("ann") == two.of("ann") == {"queued": 3}


def wrong_logins(fronts: Sequence[Credentials], tries: int, addresses: Sequence[str]) -> list[int]:
    """The answers of all fronts, which are asked by turns and all at once."""
    async def one(number: int) -> int:
        try:
            await fronts[number % len(fronts)].checked("ann", f"guess {number}", addresses[number % len(addresses)])
        except Denied as denied:
            return denied.status
        return 200

    async def every() -> list[int]:
        return await asyncio.gather(*map(one, range(tries)))

    return asyncio.run(every())


def fronts_with_logins(pair: tuple[Database, Database]) -> list[Credentials]:
    return [Credentials(Accounts(database, Users(database), {"ann": WEAK.hash("secret")}, ()), shared=LoginTries(database)) for database in pair]


def test_who_asks_two_fronts_has_no_more_tries(pair: tuple[Database, Database]) -> None:
    fronts = fronts_with_logins(pair)
    answers = wrong_logins(fronts, 200, ["10.0.0.1"])
    assert answers.count(401) == TRIES and answers.count(429) == 200 - TRIES
    assert asyncio.run(fronts[1].checked("ann", "secret", "10.0.0.2")).user.name == "ann", "others are not kept out"


def test_an_account_has_no_more_tries_at_two_fronts_and_is_open_from_its_homes(pair: tuple[Database, Database]) -> None:
    fronts = fronts_with_logins(pair)
    assert asyncio.run(fronts[0].checked("ann", "secret", "10.9.9.9")).user.name == "ann"
    strange = [f"10.1.0.{number}" for number in range(150)]
    assert wrong_logins(fronts, 150, strange).count(401) == ACCOUNT_TRIES
    assert asyncio.run(fronts[1].checked("ann", "secret", "10.9.9.9")).user.name == "ann", "it was opened from there, at the other front"
    with pytest.raises(Denied) as denied:
        asyncio.run(fronts_with_logins(pair)[0].checked("ann", "secret", "10.8.8.8"))
    assert denied.value.status == 429 and 0 < int(denied.value.headers["Retry-After"]) <= 61


def test_tries_are_forgotten_after_a_minute_and_names_are_not_kept(pair: tuple[Database, Database]) -> None:
    tries = LoginTries(pair[0])
    rules = {"of_address": 2, "of_account": 9, "window": 60.0}
    assert [tries.count("10.0.0.1", "ann", **rules).wait > 0 for _ in range(3)] == [False, False, True]
    with pair[1].write() as session:
        rows = session.scalars(select(LoginTryRow)).all()
        assert len(rows) == 2 and not any("ann" in row.account or "10.0" in row.address for row in rows)
        session.execute(update(LoginTryRow).values(second=LoginTryRow.second - 61))
    assert not tries.count("10.0.0.1", "ann", **rules).wait


# ---- what is said ----


@pytest.mark.parametrize("url", ["mysql://a@b/c", "postgresql://", "postgresql://host", "easel.db", "postgresql://a:b@h:port/x"])
def test_an_address_that_is_none_is_refused(tmp_path: object, url: str) -> None:
    flags = parser().parse_args(["--data", str(tmp_path), "--database", url])
    with pytest.raises(Refusal, match=r"--database takes postgresql://"):
        settings_from(flags, {})


def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    with pytest.raises(DatabaseAway) as told:
        Database(f"postgresql://easel:secret@127.0.0.1:{free_port()}/easel")
    assert "does not answer" in str(told.value) and "\n" not in str(told.value) and "secret" not in str(told.value)
