"""Tables, records, and the house that freezes them."""

from __future__ import annotations

import pickle
import sys
import types
from dataclasses import dataclass, fields

import pytest

from backend.house import House
from backend.request.field import Field, WrongRecord, clean
from backend.request.record import Record, frozen, gathered, plain, spread
from backend.table import Names, Table, TableError


@dataclass(frozen=True)
class Row:
    name: str
    size: int = 0


def test_rows_keep_their_order_and_their_names():
    table = Table("rows", (Row("b"), Row("a")))
    table.add(Row("c"))
    assert list(table) == ["b", "a", "c"]
    with pytest.raises(TableError, match="already"):
        table.add(Row("a"))


def test_what_is_frozen_takes_no_row():
    table = Table("rows", (Row("a"),))
    table.freeze()
    with pytest.raises(TableError, match="too late"):
        table.add(Row("b"))
    assert list(table) == ["a"]


def test_what_follows_from_a_table_sees_later_rows():
    table = Table("rows", (Row("a", 1),))
    large, sizes = table.where(lambda row: row.size > 1), table.by(lambda row: f"s{row.size}" if row.size else "")
    names, count = Names(table, ("none",)), table.derived(len)
    assert (list(large), list(sizes), list(names), count()) == ([], ["s1"], ["none", "a"], 1)
    table.add(Row("b", 2))
    assert (list(large), list(sizes), list(names), count()) == (["b"], ["s1", "s2"], ["none", "a", "b"], 2)
    assert "b" in names and names.index("b") == 2 and "c" not in names


def test_what_follows_is_worked_out_once():
    table, made = Table("rows", (Row("a"),)), []
    current = table.derived(made.append)
    current(), current()
    assert len(made) == 1


UNIT = Table("unit", (
    Field(name="word", label="Word", kind="text", default="", group="advanced"),
    Field(name="weight", label="Weight", kind="float", default=1.0, group="advanced", minimum=0, maximum=2),
))
UNITS = Field(name="units", label="Unit", kind="records", default=(), group="advanced", maximum=2, record=UNIT)


def test_records_are_cleaned_by_their_own_table():
    (unit,) = clean(UNITS, [{"weight": "0.5"}])
    assert (unit.word, unit["weight"]) == ("", 0.5)
    assert pickle.loads(pickle.dumps(unit)) == unit and hash(unit) == hash(Record({"word": "", "weight": 0.5}))
    with pytest.raises(AttributeError):
        unit.weight = 2


@pytest.mark.parametrize(("value", "within"), [
    ([{}, {"weight": 3}], "[1].weight"), ([{"heft": 1}], "[0].heft"), ([{"weight": "x"}], "[0].weight"),
])
def test_a_wrong_value_of_a_record_is_named(value, within):
    with pytest.raises(WrongRecord) as caught:
        clean(UNITS, value)
    assert caught.value.within == within


@pytest.mark.parametrize("value", ["x", [1], {"weight": 1}, [{}, {}, {}]])
def test_what_is_no_list_of_records_is_refused(value):
    with pytest.raises(ValueError):
        clean(UNITS, value)


def test_records_spread_over_a_form_and_back():
    fields = {"units": UNITS}
    values = {"steps": 3, "units": (Record({"word": "a", "weight": 0.5}),)}
    assert spread(values, fields) == {"steps": 3, "units[0].word": "a", "units[0].weight": 0.5,
                                      "units[1].word": "", "units[1].weight": 1.0}
    whole = [{"word": "a", "weight": 0.5}, {"word": "b", "weight": 2.0}]
    assert gathered(spread({"units": whole}, fields)) == {"units": whole}
    assert gathered({"units[1].word": "b"}) == {"units": [{}, {"word": "b"}]}
    assert plain(frozen(whole)) == whole


def extension(register):
    name = f"extension_of_test_{id(register)}"
    sys.modules[name] = types.ModuleType(name)
    sys.modules[f"{name}.extension"] = door = types.ModuleType(f"{name}.extension")
    door.register = register
    return name


def own_house():
    """A house with no table of the process in it: opening it freezes its tables."""
    return House(**{each.name: Table(each.name, (Row("steps"),) if each.name == "fields" else ()) for each in fields(House)})


def test_an_extension_that_fails_leaves_nothing_behind():
    def half(house):
        house.fields.add(Row("half"))
        raise RuntimeError("no luck")

    def good(house):
        house.fields.add(Row("good"))

    house = own_house()
    bad = extension(half)
    assert house.open((bad, extension(good))) == {bad: "RuntimeError: no luck"}
    assert list(house.fields) == ["steps", "good"]
    with pytest.raises(TableError):
        house.fields.add(Row("late"))


def test_no_extension_takes_the_name_of_another_s_row():
    house = own_house()
    thief = extension(lambda house: house.fields.add(Row("steps", 9)))
    assert "already" in house.open((thief,))[thief]
    assert house.fields["steps"].size == 0
