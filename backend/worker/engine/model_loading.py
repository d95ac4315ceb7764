"""Checkpoints and VAEs for the programs: loaded where they are not in memory, told to the front, pinned while used."""

from __future__ import annotations

from collections.abc import Callable

from backend.catalog.model_file import CHECKPOINT, VAE, ModelFile
from backend.errors import InvalidRequest
from backend.messages import Event, Hashed, Loading
from backend.request.choices import VAES
from backend.worker.engine.current_work import CurrentWork
from backend.worker.engine.program import Program, jobs_of
from backend.worker.models.chosen_vae import ChosenVae, place_of, read_vae
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model


class ModelLoading:
    """`emit` receives what the front should know."""

    def __init__(self, memory: Memory, current_work: CurrentWork, emit: Callable[[Event], None]) -> None:
        self._memory, self._current_work, self._emit = memory, current_work, emit

    def load(self, job: str, checkpoint: ModelFile) -> Model:
        """The checkpoint on the device. Raises CheckpointError and OutOfMemory."""
        if checkpoint.key in self._memory:
            return self._memory.get(checkpoint)
        self._emit(Loading(checkpoint.key))
        try:
            with self._current_work.doing("loading", [job]):
                model = self._memory.get(checkpoint)
        finally:
            self._emit(Loading(checkpoint.key, done=True))
        if model.background_hash:
            model.background_hash.tell(lambda sha256: self._emit(Hashed(checkpoint.key, sha256)))
        return model

    def choose_vae(self, program: Program) -> None:
        """Give the program the VAE that its job names, if it names one. Raises CheckpointError and OutOfMemory."""
        run, model = program.task.run, program.model
        if run.request.vae in VAES:
            return
        file = run.files.get((VAE, run.request.vae))
        if file is None:
            raise InvalidRequest(f"names {run.request.vae[:80]}, which is not in the models folders", field=VAE)
        with self._current_work.doing("loading", jobs_of([program])):
            program.vae = self._memory.fetch(VAE, place_of(file, model), file.path, lambda: self._read(file, model))
        self._memory.pin(program.vae, program)

    def _read(self, file: ModelFile, model: Model) -> ChosenVae:
        made = read_vae(file, model, self._memory.placement)
        if made.background_hash:
            made.background_hash.tell(lambda sha256: self._emit(Hashed(file.key, sha256, VAE)))
        return made

    def use(self, program: Program, name: str) -> Model:
        """The program goes on with this checkpoint of its job; the one before may leave the device."""
        run = program.task.run
        self._memory.unpin(program, program.in_use)
        program.in_use = self.load(run.job, run.files[CHECKPOINT, name])
        self._memory.pin(program.in_use, program)
        return program.in_use
