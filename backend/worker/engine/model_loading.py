"""Checkpoints for the programs: loaded where they are not in memory, told to the front, pinned while they are used."""

from __future__ import annotations

from collections.abc import Callable

from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.messages import Event, Hashed, Loading
from backend.worker.engine.current_work import CurrentWork
from backend.worker.engine.program import Program
from backend.worker.models.base import Model
from backend.worker.models.memory import Memory


class ModelLoading:
    """`emit` receives what the front should know."""

    def __init__(self, memory: Memory, current_work: CurrentWork, emit: Callable[[Event], None]) -> None:
        self._memory, self._current_work, self._emit = memory, current_work, emit

    def load(self, job: str, checkpoint: ModelFile) -> Model:
        """The checkpoint on the device. Raises CheckpointError and OutOfMemory."""
        if checkpoint.key in self._memory:
            return self._memory.get(checkpoint)
        self._emit(Loading(checkpoint.key))
        with self._current_work.doing("loading", [job]):
            model = self._memory.get(checkpoint)
        self._emit(Loading(checkpoint.key, done=True))
        if model.background_hash:
            model.background_hash.tell(lambda sha256: self._emit(Hashed(checkpoint.key, sha256)))
        return model

    def use(self, program: Program, name: str) -> Model:
        """The program goes on with this checkpoint of its job; the one before may leave the device."""
        run = program.task.run
        self._memory.unpin(program, program.in_use)
        program.in_use = self.load(run.job, run.files[CHECKPOINT, name])
        self._memory.pin(program.in_use, program)
        return program.in_use
