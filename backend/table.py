"""Tables: rows by name that a process fills while it starts and that never change afterwards.

What follows from a table (menus, the rows of one group, an index by another name) is worked out when it is asked for,
so nothing that is made at import can miss a row that comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

Row = TypeVar("Row")
Made = TypeVar("Made")


class TableError(ValueError):
    """A row that cannot be added: its name is taken, or the table is frozen."""


class Table(Mapping[str, Row], Generic[Row]):
    """Rows in the order in which they came. `key` is the attribute of a row that names it."""

    def __init__(self, name: str, rows: Iterable[Row] = (), key: str = "name") -> None:
        self.name = name
        self._key = key
        self._rows: dict[str, Row] = {}
        self._owners: dict[str, str] = {}
        self._off: set[str] = set()
        self._frozen = False
        self.owner = ""             # whose rows are added from here on: an extension's package, "" is the core
        self.version = 0
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> Row:
        """Append a row. Raises TableError when its name is taken or the table is frozen."""
        name = getattr(row, self._key)
        if self._frozen:
            raise TableError(f"{self.name}: {name!r} comes too late; rows are added while a process starts")
        if name in self._rows:
            raise TableError(f"{self.name}: there is a row {name!r} already")
        self._rows[name] = row
        self._owners[name] = self.owner
        self.version += 1
        return row

    def freeze(self) -> None:
        """No row comes or goes from here on."""
        self._frozen = True

    @property
    def frozen(self) -> bool:
        return self._frozen

    def rows(self) -> tuple[Row, ...]:
        return tuple(self._rows.values())

    def owner_of(self, name: str) -> str:
        """The package of the extension that has added the row; "" for the core."""
        return self._owners.get(name, "")

    def switch_off(self, owner: str) -> None:
        """Pass over this extension's rows wherever `working` is asked. They stay, so that names keep their meaning."""
        self._off.add(owner)

    def working(self) -> tuple[Row, ...]:
        """The rows whose owner was not switched off."""
        return tuple(row for name, row in self._rows.items() if self._owners[name] not in self._off)

    def restore(self, rows: Sequence[Row]) -> None:
        """Back to these rows, which it had before: what an extension added that then failed must not stay."""
        self._rows = {getattr(row, self._key): row for row in rows}
        self._owners = {name: self._owners[name] for name in self._rows}
        self.version += 1

    def derived(self, make: Callable[[Table[Row]], Made]) -> Callable[[], Made]:
        """A function that gives what `make` makes of the table, made anew only when the table has changed."""
        held: list[tuple[int, Made]] = []

        def current() -> Made:
            if not held or held[0][0] != self.version:
                held[:] = [(self.version, make(self))]
            return held[0][1]

        return current

    def where(self, keep: Callable[[Row], bool]) -> Mapping[str, Row]:
        """The rows that `keep` accepts, by name."""
        return _View(self.derived(lambda table: {name: row for name, row in table.items() if keep(row)}))

    def by(self, name_of: Callable[[Row], str]) -> Mapping[str, Row]:
        """The rows by another name; those for which it is empty are left out."""
        return _View(self.derived(lambda table: {name_of(row): row for row in table.values() if name_of(row)}))

    __eq__ = object.__eq__      # a table is itself, whatever rows it has
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows


class _View(Mapping[str, Row], Generic[Row]):
    """A mapping that is worked out from a table whenever that has changed."""

    def __init__(self, current: Callable[[], Mapping[str, Row]]) -> None:
        self._current = current

    def __getitem__(self, name: str) -> Row:
        return self._current()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())


class Names(Sequence[str]):
    """The names of a table's rows as a menu shows them, after some that stand for none of them."""

    def __init__(self, table: Table[Any], first: Sequence[str] = ()) -> None:
        self._table, self._first = table, tuple(first)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return (*self._first, *self._table)[index]

    def __len__(self) -> int:
        return len(self._first) + len(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._first or name in self._table
