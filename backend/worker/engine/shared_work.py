"""What cells of one plot have in common is made by the first of them that asks; the others wait for it.

When that one is interrupted or fails, the next one makes it. Results are kept in `Memory`'s caches, where they are
counted and leave when memory is short.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.worker.draw.work_items import Keep, Made, Shared
from backend.worker.engine.program import HashedFile, Program
from backend.worker.models.memory import Memory
from backend.worker.models.result_cache import ResultCache

KEPT_BYTES = 256 * 2**20

Key = tuple[str, Hashable]      # the plot, and what it is


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A result, and what the picture that made it had to tell of it: equal keys have equal pasts."""

    result: Any
    notes: tuple[str, ...]
    hashes: Mapping[str, Mapping[str, HashedFile]]

    @property
    def nbytes(self) -> int:
        return self.result.nbytes


class SharedWork:
    """Who makes what, and what has been made."""

    def __init__(self, memory: Memory) -> None:
        self._kept: ResultCache[_Kept] = memory.cache(KEPT_BYTES)
        self._makers: dict[Key, Program] = {}

    def is_made_by_another(self, program: Program, work: Any) -> bool:
        """Whether the program has to wait for this, because another one is making it."""
        if not isinstance(work, Shared) or not program.task.run.plot:
            return False
        key = _key(program, work)
        return self._makers.get(key, program) is not program and self._kept.find(key) is None

    def answer(self, program: Program, work: Shared) -> Made | Keep:
        """The result, or where the program brings it when it has made it."""
        if not program.task.run.plot:
            return _keep_nothing
        key = _key(program, work)
        kept = self._kept.find(key)
        if kept is None:
            self._makers[key] = program
            return partial(self._keep, key, program)
        for note in kept.notes:
            program.note(note)
        for name, files in kept.hashes.items():
            program.hashes.setdefault(name, {}).update(files)
        program.call += work.calls
        return Made(kept.result)

    def leave(self, program: Program) -> None:
        """The program makes nothing more for others."""
        self._makers = {key: maker for key, maker in self._makers.items() if maker is not program}

    def clear(self) -> None:
        """No cell is in hand."""
        self._kept.shrink(0)

    def _keep(self, key: Key, program: Program, result: Any) -> None:
        self._makers.pop(key, None)
        hashes = {name: dict(files) for name, files in program.hashes.items()}
        self._kept.get(key, lambda: _Kept(result, tuple(program.notes), hashes))


def _key(program: Program, work: Shared) -> Key:
    return program.task.run.plot, work.key


def _keep_nothing(result: object) -> None:
    """For a picture of no plot."""
