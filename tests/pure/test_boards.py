"""Boards of the history: kept per owner, found by `board:`, and no danger to any picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.errors import InvalidRequest, NotFound
from backend.request.request import Request
from backend.store.boards import Boards
from backend.store.database import Database
from backend.store.database_recovery import open_database
from backend.store.history import History, PictureFile
from backend.store.recycle_bin import change
from backend.store.search import Query, Search


def picture(database: Database, name: str, owner: str = "ann", **request: object) -> str:
    file = PictureFile(index=0, path=f"{name}.png", width=8, height=8, seed=1, infotext=f"a {name}\nSteps: 3", format="png")
    return History(database).adopt(owner, datetime(2026, 1, 1, tzinfo=UTC), Request(**request), file)


def found(database: Database, owner: str = "ann", **query: object) -> set[str]:
    return {one.image.id for one in Search(database).page(owner, Query(**query))[0]}


def test_pictures_are_put_on_boards_and_found_there(database: Database) -> None:
    boards = Boards(database)
    cat, dog, owl = (picture(database, name) for name in ("cat", "dog", "owl"))
    pets, night = boards.create("  Our   pets ", "ann").id, boards.create("night", "ann").id
    boards.add(pets, [cat, dog, cat], "ann")
    boards.add(pets, [dog], "ann")
    boards.add(night, [owl, cat], "ann")
    assert [(board.name, board.count) for board in boards.of("ann")] == [("night", 2), ("Our pets", 2)]
    assert found(database, board=pets) == found(database, words='board:"our pets"') == {cat, dog}
    assert found(database, words='BOARD:"our pets" board:Night') == {cat} and found(database, words="board:night owl") == {owl}
    assert found(database, words="-board:night") == {dog} and found(database, words="board:nowhere") == set()
    assert set(boards.with_picture(cat, "ann")) == {pets, night}
    boards.remove(pets, [cat, owl], "ann")
    assert found(database, board=pets) == {dog}
    boards.rename(pets, "OUR PETS", "ann")
    boards.delete(night, "ann")
    assert [board.name for board in boards.of("ann")] == ["OUR PETS"] and found(database) == {cat, dog, owl}


def test_what_lies_in_the_bin_is_not_counted_and_comes_back_to_its_board(database: Database) -> None:
    boards, cat = Boards(database), picture(database, "cat")
    board = boards.create("b", "ann").id
    boards.add(board, [cat], "ann")
    for moment, count in ((datetime.now(UTC), 0), (None, 1)):
        with database.write() as session:
            change(session, [cat], "ann", binned=moment)
        assert boards.of("ann")[0].count == count and len(found(database, board=board)) == count


def test_a_board_needs_a_name_of_its_own(database: Database) -> None:
    boards = Boards(database)
    boards.create("Füße", "ann")
    for name in ("", " \n ", "x" * 81, "FÜSSE"):
        with pytest.raises(InvalidRequest) as wrong:
            boards.create(name, "ann")
        assert wrong.value.problems[0].field == "name"
    assert boards.create('a "b"', "ann").name == "a 'b'" and boards.create("Füße", "bob")


def test_nobody_reaches_the_boards_or_pictures_of_others(database: Database) -> None:
    boards, cat = Boards(database), picture(database, "cat")
    anns, bobs = boards.create("x", "ann").id, boards.create("x", "bob").id
    for act in (lambda: boards.add(anns, [cat], "bob"), lambda: boards.add(bobs, [cat], "bob"), lambda: boards.delete(anns, "bob"),
                lambda: boards.rename(anns, "y", "bob"), lambda: boards.remove(anns, [cat], "bob"), lambda: boards.add(anns, [cat, "no"], "ann")):
        with pytest.raises(NotFound):
            act()
    boards.add(anns, [cat], "ann")
    assert found(database, "bob", board=anns) == set() and boards.with_picture(cat, "bob") == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_boards_outlive_a_broken_database(database: Database, tmp_path: Path) -> None:
    boards, cat = Boards(database), picture(database, "cat", process="Extras", init_image="a" * 40)
    board = boards.create("x", "local").id
    local = picture(database, "dog", "local")
    boards.add(board, [local], "local")
    with database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE meta")
    database.close()
    again, rescue = open_database(tmp_path / "easel.db")
    assert rescue and cat
    assert [(one.name, one.count) for one in Boards(again).of("local")] == [("x", 1)]
    assert found(again, "local", board=board) == {local} and found(again, "local", kind="txt2img") == {local}
    again.close()
