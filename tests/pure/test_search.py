"""The search over the history: its words, its filters, its pages, and the index that no change of a row can forget."""

import random
import re
import sqlite3
import time
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from backend.errors import NotFound
from backend.request.request import Request
from backend.store.database import Database
from backend.store.database_recovery import open_database
from backend.store.history import History, PictureFile
from backend.store.jobs import Jobs
from backend.store.revisions import MIGRATIONS
from backend.store.search import Query, Search, expressions
from backend.store.tables import KINDS, ImageRow, JobRow, next_sort_moment
from backend.store.users import Users
from tests.postgres import PostgresServer

WORDS = ["cat", "Cats", "category", "dog", "café", "CAFE", "naïve", "long_hair", "1girl", "猫", "red-haired", "(blue:1.2)", "<lora:x:0.8>",
         "🐱", "masterpiece", "dogs", "Ä", "a", "hair", "hindi हिन्दी", "don't", "白い猫", "แมว"]
DENSE = ["猫", "白", "แม"]
SAMPLERS, MODELS = ["Euler a", "DPM++ 2M", "DDIM"], ["demo", "dream [v1]", "other"]
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(tmp_path_factory.mktemp("search") / "easel.db")
    fill(database, 300)
    yield database
    database.close()


def fill(database: Database, count: int, seed: int = 1) -> None:
    """Pictures of two owners over 30 days, some in the bin, some starred, some deleted."""
    dice = random.Random(seed)
    with database.write() as session:
        for number in range(count):
            owner, created = dice.choice(["ann", "bob"]), START + timedelta(minutes=dice.randrange(30 * 24 * 60))
            add(session, f"{seed}-{number}", owner, created, text_of(dice, number), seed=number % 7, kind=dice.choice(KINDS),
                width=8 * dice.randrange(1, 4),
                starred=dice.random() < 0.2, binned=created if dice.random() < 0.1 else None, deleted=dice.random() < 0.1)


def text_of(dice: random.Random, seed: int) -> str:
    prompt, negative = (" ".join(dice.choices(WORDS, k=dice.randrange(1, 6))) for _ in range(2))
    return (f"{prompt}\nNegative prompt: {negative}\nSteps: {dice.randrange(1, 30)}, Sampler: {dice.choice(SAMPLERS)}, Seed: {seed % 7}, "
            f"Model: {dice.choice(MODELS)}")


def add(session: object, name: str, owner: str, created: datetime, infotext: str, **values: object) -> None:
    session.add(JobRow(id=name, owner=owner, state="done", place=abs(hash(name)), request=Request().to_json(), checkpoint=""))
    session.flush()
    row = {"job": name, "id": f"i{name}", "index": 0, "path": f"{name}.png", "width": 8, "height": 8, "seed": 0, "format": "png"} | values
    session.add(ImageRow(owner=owner, created=created, infotext=infotext, **row))


def everything(database: Database) -> list[ImageRow]:
    with database.read() as session:
        return sorted(session.query(ImageRow), key=lambda row: (row.created, row.number), reverse=True)


# ---- what a search should find, told a second time without an index ----


def tokens(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f").casefold()
    return kept(plain).split()


def kept(text: str) -> str:
    return "".join(c if unicodedata.category(c)[0] in "LMN" or unicodedata.category(c) in ("So", "Co") else " " for c in text)


def is_dense(text: str) -> bool:
    """Of a script without spaces: any part of the text is a word."""
    return any(part in text for part in DENSE)


def says(row: ImageRow, phrase: str, *, exact: bool) -> bool:
    if is_dense(phrase):
        return phrase in row.infotext
    wanted, said = tokens(phrase), tokens(row.infotext)
    places = range(len(said) - len(wanted) + 1)
    if exact:
        return any(said[i:i + len(wanted)] == wanted for i in places)
    return any(said[i:i + len(wanted) - 1] == wanted[:-1] and said[i + len(wanted) - 1].startswith(wanted[-1]) for i in places)


def matches(row: ImageRow, owner: str, query: Query) -> bool:
    if row.owner != owner or row.deleted or bool(row.binned) != query.binned:
        return False
    for minus, quoted, word in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', query.words):
        phrase = quoted or word
        parts = kept(phrase).split() if is_dense(phrase) else [phrase]
        if any(tokens(part) and says(row, part, exact=bool(quoted)) == bool(minus) for part in parts):
            return False
    return ((not query.checkpoint or f"Model: {query.checkpoint}" in row.infotext) and (not query.sampler or f"Sampler: {query.sampler}," in row.infotext)
            and (not query.kind or row.kind == query.kind) and (query.seed is None or row.seed == query.seed) and (not query.starred or row.starred)
            and (query.since is None or row.created >= query.since) and (query.until is None or row.created < query.until))


def random_query(dice: random.Random) -> Query:
    def term() -> str:
        word = dice.choice(WORDS)
        word = dice.choice([word, word[:2], word.upper(), f'"{word}"', f'"{word} {dice.choice(WORDS)}"', f"{word},", "steps", f'"{word[:2]}"'])
        return dice.choice(["", "", "", "-"]) + word

    days = [None, None, START + timedelta(days=dice.randrange(30))]
    return Query(words=" ".join(term() for _ in range(dice.randrange(4))), checkpoint=dice.choice(["", "", *MODELS]),
                 sampler=dice.choice(["", "", *SAMPLERS]), seed=dice.choice([None, None, 3]), since=dice.choice(days), until=dice.choice(days),
                 starred=dice.random() < 0.2, binned=dice.random() < 0.2, kind=dice.choice(["", "", *KINDS]))


@pytest.mark.slow
def test_a_search_finds_what_a_plain_look_at_every_row_finds(database: Database) -> None:
    rows, search, dice, hits = everything(database), Search(database), random.Random(2), 0
    for _ in range(250):
        query, owner = random_query(dice), dice.choice(["ann", "bob"])
        expected = [row.id for row in rows if matches(row, owner, query)]
        found, total = search.page(owner, query, limit=1000)
        assert [one.image.id for one in found] == expected and total == len(expected), query
        hits += bool(expected)
    assert hits > 60, "most searches found nothing: the test says little"


@pytest.mark.slow
def test_a_search_on_postgres_finds_the_same(postgres: PostgresServer) -> None:
    there = Database(postgres.empty_tables())
    fill(there, 80)
    rows, search, dice = everything(there), Search(there), random.Random(2)
    for query in [random_query(dice) for _ in range(25)] + [Query(words=text) for text in (*WORDS, *ODD[:12], *ODD[-12:]) if text != "\ud800"]:
        found, total = search.page("ann", query, limit=1000)
        if query.words not in ODD:
            assert [one.image.id for one in found] == [row.id for row in rows if matches(row, "ann", query)], query
        assert total == len(found)
    assert search.choices("ann") == (sorted(MODELS), sorted(SAMPLERS, key=str.casefold))
    there.close()


@pytest.mark.parametrize("word", WORDS)
def test_a_word_and_its_exclusion_share_the_pictures(database: Database, word: str) -> None:
    search = Search(database)
    totals = [search.page("ann", Query(words=words))[1] for words in (word, " ".join(f"-{part}" for part in word.split()), "")]
    assert 0 < totals[0] < totals[2]
    assert totals[0] + totals[1] == totals[2] or " " in word


ODD = ['"', '""', 'a"b', "AND OR NOT", "AND", "NOT a", "a NOT", "*", "a*", "-", "--", "-*", '-"', "^a", "a:b", "infotext:cat", "{cat}", "NEAR(a b)", "(", ")",
       "a + b", "\0", "cat\0dog", "\ud800", "🐱", "👩‍🚀", "'; DROP TABLE images; --", "%", "_", "\\", "\n\t", "a" * 10_000, "a " * 5_000, '"' * 9_999,
       "-a " * 3_000, " ".join(f"{n}x" for n in range(2_000)), "e\u0301", "\u0301", "＂cat＂", "“cat”", "½", "ﬁ", "ß", "İ"]


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text[:20]))
def test_no_text_is_an_error(database: Database, text: str) -> None:
    other = text.replace("\ud800", "?")
    assert Search(database).page("ann", Query(checkpoint=other, sampler=other)) == ([], 0)
    found, total = Search(database).page("ann", Query(words=text))
    assert min(total, 60) == len(found)


def test_signs_alone_look_for_nothing() -> None:
    for text in ("", '"', "*", "-", "( )", '""', '-"', "\0"):
        assert expressions(text) == ("", ""), text
    assert expressions('cat "red circle" -dog unfin"ished quo') == ('"cat"* AND "red circle" AND "unfin"* AND "ished quo"*', '"dog"*')


def test_scripts_without_spaces_are_searched_by_parts(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    with database.write() as session:
        for name, text in {"1": "とても白い猫が好き、犬も", "2": "a 黒い猫", "3": "แมวสีขาว"}.items():
            add(session, name, "ann", START, text)
    for words, expected in {"猫": {"i1", "i2"}, "白い猫": {"i1"}, "-猫": {"i3"}, "猫 -犬": {"i2"}, "猫、犬": {"i1"}, '"白い"': {"i1"}, "a 猫": {"i2"}, "สีขาว": {"i3"}}.items():
        found, total = Search(database).page("ann", Query(words=words))
        assert ({one.image.id for one in found}, total) == (expected, len(expected)), words
    database.close()


def test_accents_and_case_do_not_count_and_words_are_beginnings(database: Database) -> None:
    search = Search(database)
    assert len({search.page("ann", Query(words=text))[1] for text in ("café", "CAFE", "cafe\u0301", '"Café"')}) == 1
    totals = [search.page("ann", Query(words=text))[1] for text in ("cat", '"cat"', "category")]
    assert totals[0] > totals[1] > 0 and totals[0] > totals[2] > 0


# ---- pages ----


def test_pages_cover_everything_once_while_pictures_arrive_and_go(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    fill(database, 200, seed=3)
    search, seen, before = Search(database), [], None
    expected = [row.id for row in everything(database) if matches(row, "ann", Query())]
    for page in range(1000):
        found, _ = search.page("ann", Query(), limit=7, before=before)
        if not found:
            break
        seen += [one.image.id for one in found]
        before = seen[-1]
        with database.write() as session:       # a new picture; and the last one seen goes to the bin
            add(session, f"new{page}", "ann", datetime.now(UTC), "new")
            session.query(ImageRow).filter_by(id=before).one().binned = datetime.now(UTC)
    assert seen == expected
    database.close()


def test_pictures_of_one_moment_have_an_order_too(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    with database.write() as session:
        for number in range(20):
            add(session, str(number), "ann", START, "same")
    search, seen = Search(database), []
    while found := search.page("ann", Query(), limit=3, before=seen[-1] if seen else None)[0]:
        seen += [one.image.id for one in found]
    assert seen == [f"i{number}" for number in reversed(range(20))]
    assert [image.id for image in History(database).images("ann", 100)] == seen
    database.close()


def test_somebody_elses_picture_is_no_place_in_the_list(database: Database) -> None:
    other = next(row.id for row in everything(database) if row.owner == "bob")
    for before in (other, "nothing", ""):
        with pytest.raises(NotFound):
            Search(database).page("ann", Query(), before=before)


def test_choices_are_what_occurs(database: Database) -> None:
    assert Search(database).choices("ann") == (sorted(MODELS, key=str.casefold), sorted(SAMPLERS, key=str.casefold))
    assert Search(database).choices("nobody") == ([], [])


# ---- the index keeps in step ----


def test_the_index_follows_every_change_of_a_row(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    jobs, history, search = Jobs(database), History(database), Search(database)
    job = jobs.add_all([Request(prompt="x", seed=1, variation_seed=1)], "ann")[0].id
    (lease,) = jobs.lease("gpu", 1)

    def add_again(text: str) -> None:
        history.add(job, lease.token, PictureFile(index=0, path="1.png", width=8, height=8, seed=1, infotext=text, format="png"))

    def totals() -> list[int]:
        return [search.page("ann", Query(words=word))[1] for word in ("first", "second")]

    add_again("first")
    assert totals() == [1, 0]
    add_again("second")         # a picture that is made again after a crash
    assert totals() == [0, 1]
    with database.write() as session:
        session.delete(session.query(JobRow).one())
        session.flush()
    assert totals() == [0, 0]
    with database.write() as session:
        session.connection().exec_driver_sql("INSERT INTO images_words(images_words, rank) VALUES ('integrity-check', 1)")
    database.close()


def test_a_database_of_the_first_version_becomes_searchable(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    first_version(path)
    database, rescue = open_database(path)
    assert rescue is None
    ann = Users(database).named("ann").id
    (found,), total = Search(database).page(ann, Query(words="circle", checkpoint="demo", sampler="Euler a"))
    assert total == 1 and found.image.seed == 42 and not found.image.starred and found.path == "2024/1.png"
    assert Search(database).page(ann, Query())[1] == 2 and Search(database).choices(ann) == (["demo"], ["Euler a"])
    with database.write() as session:
        session.connection().exec_driver_sql("INSERT INTO images_words(images_words, rank) VALUES ('integrity-check', 1)")
        session.query(ImageRow).filter_by(seed=42).one().infotext = "square"
    assert [Search(database).page(ann, Query(words=word))[1] for word in ("circle", "square")] == [0, 1]
    database.close()


def test_what_is_rescued_of_the_first_version_is_searchable(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    first_version(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    database, rescue = open_database(path)
    assert rescue.images == 2
    ann = Users(database).named("ann").id
    assert Search(database).page(ann, Query(words="circle", checkpoint="demo", sampler="Euler a"))[1] == 1
    database.close()


def test_stars_and_the_bin_outlive_a_broken_database(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    database = Database(path)
    with database.write() as session:
        for name, values in {"plain": {}, "star": {"starred": True}, "bin": {"binned": START}, "gone": {"deleted": True}}.items():
            add(session, name, "ann", START, "a circle", digest="d" * 64, **values)
    before = [(row.id, row.starred, row.binned, row.deleted, row.digest) for row in everything(database)]
    database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE images_words")
    database, rescue = open_database(path)
    ann = Users(database).named("ann").id
    assert rescue.images == 4 and [(row.id, row.starred, row.binned, row.deleted, row.digest) for row in everything(database)] == before
    assert Search(database).page(ann, Query(words="circle"))[1] == 2
    database.close()


def first_version(path: Path) -> None:
    """Tables of migration 0001 with two pictures in them."""
    from alembic import command
    from alembic.config import Config

    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0001")
    engine.dispose()
    texts = ["a red circle\nSteps: 3, Sampler: Euler a, Schedule type: Karras, Seed: 42, Model: demo", ""]
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, text in enumerate(texts):
            connection.execute("INSERT INTO jobs (id, owner, state, place, request, checkpoint, created, attempts, cancelling, skipped, problems, notes)"
                               " VALUES (?, 'ann', 'done', ?, '{}', 'demo', '2024-01-01 00:00:00.000000', 0, 0, '[]', '[]', '[]')", (str(number), number))
            connection.execute('INSERT INTO images (id, job, "index", owner, path, width, height, seed, infotext, format, created, deleted)'
                               " VALUES (?, ?, 0, 'ann', ?, 8, 8, ?, ?, 'png', '2024-01-01 00:00:00.000000', 0)",
                               (f"i{number}", str(number), f"2024/{number + 1}.png", 42 - number, text))


# ---- speed, roughly; benchmarks/history.py measures ----


@pytest.mark.slow
def test_a_new_picture_finds_its_place_without_a_look_at_all_others(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    with database.write() as session:
        for number in range(2000):
            add(session, str(number), "ann", START + timedelta(minutes=number), "")
    steps: list[int] = []
    with database.read() as session:
        session.connection().connection.dbapi_connection.set_progress_handler(lambda: steps.append(100), 100)
        assert next_sort_moment(session, ImageRow, "ann", START) == START + timedelta(minutes=1999, microseconds=1)
        session.connection().connection.dbapi_connection.set_progress_handler(None, 0)
    assert sum(steps) < 2000, "SQLite's own steps: several for each row that it looks at"
    database.close()


def test_the_first_page_does_not_read_every_row(tmp_path: Path) -> None:
    """The planner goes along the index in its order, and counts without looking at the rows."""
    database = Database(tmp_path / "easel.db")
    with database.read() as session:
        plan = [row[3] for row in session.connection().exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM images WHERE owner = 'ann' AND deleted = 0 AND binned IS NULL"
            " AND (sort_moment, number) < ('2024-01-01', 7) ORDER BY sort_moment DESC, number DESC LIMIT 60")]
    assert len(plan) == 1 and "ix_images_owner_deleted_binned_sort_moment" in plan[0] and "sort_moment<?" in plan[0]
    started = time.process_time()
    Search(database).page("ann", Query(words=" ".join(f"{a}{b}" for a in "abcdefghij" for b in "abcdefghijklmnopqrst")))
    assert time.process_time() - started < 2
    database.close()


# ---- other orders ----

BY = {"newest": lambda row: (row.created, row.number), "starred": lambda row: (row.starred, row.created, row.number),
      "largest": lambda row: (row.width * row.height, row.created, row.number)}


@pytest.mark.parametrize("order", ["newest", "oldest", "starred", "largest", "smallest"])
def test_every_order_holds_over_all_pages(database: Database, order: str) -> None:
    rows = [row for row in everything(database) if matches(row, "ann", Query())]
    by = BY[{"oldest": "newest", "smallest": "largest"}.get(order, order)]
    expected = sorted(rows, key=by, reverse=order != "oldest")
    if order == "smallest":
        expected = sorted(rows, key=lambda row: (-row.width * row.height, row.created, row.number), reverse=True)
    found, before = [], None
    while page := Search(database).page("ann", Query(order=order), limit=17, before=before)[0]:
        found += [one.image.id for one in page]
        before = found[-1]
    assert found == [row.id for row in expected]
