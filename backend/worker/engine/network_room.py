"""Whether the networks that a further picture's prompts name fit into memory's budget beside those in work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from backend.catalog.fingerprints import Fingerprint
from backend.catalog.model_file import LORA, ModelFile
from backend.worker.adapters.network_file import expected_bytes
from backend.worker.engine.program import Program, Task
from backend.worker.engine.row_counts import BUCKETS, STARTING_ROWS
from backend.worker.models.memory import Memory

STACKED = 2     # factors of a row take so many times their file: ranks are padded, the second factors kept twice

Key = tuple[str, str]       # kind and name, as `Memory` has them


class NetworkRoom:
    """What pictures will need is known from their prompts before anything is loaded."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._sizes: dict[tuple[str, Fingerprint | None], int] = {}     # by path and state of the file

    def has_room_for(self, task: Task, programs: Sequence[Program]) -> bool:
        """Whether the next picture of a job may start beside these.

        One alone always may, and one that needs no other networks than they do.
        """
        coming = task.networks(task.waiting[0])
        running = [program.task.networks(program.index) for program in programs]
        if not programs or coming.keys() <= set(chain.from_iterable(running)):
            return True
        every = [*running, coming]
        sizes = {key: self._size(file) for files in every for key, file in files.items()}
        rows = [len(program.rows) or STARTING_ROWS for program in programs] + [STARTING_ROWS]
        return self._memory.has_room_for(sizes, self._side_by_side(every, sizes, sum(rows)))

    def _side_by_side(self, every: Sequence[Mapping[Key, ModelFile]], sizes: Mapping[Key, int], rows: int) -> int:
        """Bytes of the factors of a call's rows; one row stands for all where all have the same."""
        most = max(sum(sizes[key] for key in files if key[0] == LORA) for files in every)
        alike = len(set(map(frozenset, every))) == 1
        return STACKED * most * (1 if alike else min(rows, BUCKETS[-1]))

    def _size(self, file: ModelFile) -> int:
        key = file.path, file.fingerprint
        if key not in self._sizes:
            self._sizes[key] = expected_bytes(file, self._memory.placement)
        return self._sizes[key]
