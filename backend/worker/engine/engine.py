"""Many pictures, one network call.

The engine holds the running programs (`pipeline.draw`, one per picture), gathers their pending rows by batch key, makes
one network call for a group and hands each program its answers. New jobs join and cancelled ones leave between two
calls. It is driven by one thread, one `step()` at a time, inside `torch.inference_mode()`.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from backend.catalog.call_estimate import NO_LIMITS, DeviceLimits
from backend.errors import EaselError, Problem, WorkCancelled
from backend.extensions.blame import blame
from backend.messages import UNFINISHED, Cancelled, Done, Event, Failed, Picture, Progress, Run, Skipped
from backend.sampling.protocol import Noisy
from backend.settings import Policy
from backend.worker.draw.work_items import EncodeText, Finished, LoadNetworks, Shared, UseModel
from backend.worker.engine.admission import Admission
from backend.worker.engine.current_work import CurrentWork
from backend.worker.engine.equal_rows import firsts
from backend.worker.engine.guide_work import ANSWERS, GuideWork
from backend.worker.engine.model_loading import ModelLoading
from backend.worker.engine.network_loading import encode_texts, load_networks
from backend.worker.engine.network_room import NetworkRoom
from backend.worker.engine.previews import Previews
from backend.worker.engine.program import Ended, Program, Task, jobs_of
from backend.worker.engine.program_building import compose, refuse_impossible
from backend.worker.engine.row_counts import RowCounts, filled
from backend.worker.engine.shared_work import SharedWork
from backend.worker.engine.side_work import SideWork
from backend.worker.engine.work_order import Preparation, asking_next
from backend.worker.guidance.lazy_latents import Calculate, calculate
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Answer, Row, units, whole
from backend.worker.models.cancellation import Cancellations
from backend.worker.models.codec import Codec, DecodeLatent, EncodePicture
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.pixels.face_restoration import SwapFaces
from backend.worker.pixels.pixel_networks import PixelNetworks
from backend.worker.pixels.upscaling import Enlarge, Expect

log = logging.getLogger(__name__)

DECODED_TOGETHER = 4

Slot = tuple[Program, int]      # a program and the position of one of its rows


class Engine:
    """See the module. `emit` receives every event.

    `switch_off(error)` draws on without the extension whose code has raised an error, and gives its package, or "".
    `cancellations` hear of a cancel before `cancel` is called, in the middle of what is prepared.
    """

    def __init__(
        self, memory: Memory, policy: Policy, emit: Callable[[Event], None], limits: DeviceLimits = NO_LIMITS,
        switch_off: Callable[[BaseException], str] = lambda error: "", cancellations: Cancellations | None = None,
    ) -> None:
        self.memory = memory
        self.policy = policy
        self.emit = emit
        self.limits = limits
        self.switch_off = switch_off
        self.cancellations = cancellations or Cancellations()
        self.tasks: dict[str, Task] = {}
        self.programs: list[Program] = []
        self.beside: list[SideWork] = []
        self.pixel_networks = PixelNetworks(memory)
        self.codec = Codec(memory)
        self.row_counts = RowCounts(memory, policy)
        self.network_room = NetworkRoom(memory)
        self.admission = Admission(self.network_room.has_room_for)
        self.shared = SharedWork(memory)
        self.current_work = CurrentWork()
        self.models = ModelLoading(memory, self.current_work, emit)
        self.previews = Previews(memory, self.current_work, emit)

    # ---- what the process calls ----

    def add(self, run: Run) -> None:
        """Take a job in; its first picture starts at the next step that has room."""
        self.tasks[run.job] = task = Task(run, deque(run.indices))
        with self._border(task):
            refuse_impossible(run, self.limits)
            self._finish_if_empty(task)

    def cancel(self, job: str) -> None:
        """Stop a job; pictures in work are delivered as far as they are. An unknown job was over already."""
        task = self.tasks.get(job)
        if task is None or task.cancelled:
            return
        task.cancelled = True
        task.waiting.clear()
        for program in self._programs_of(task):
            self._interrupt(program)
        self._finish_if_empty(task)

    def skip(self, job: str) -> None:
        """End the pictures of a job that are in work, all of one batch, as far as they are, and go on with the next."""
        task = self.tasks.get(job)
        programs = self._programs_of(task) if task else []
        programs = [p for p in programs if p not in self._being_made] or programs
        if any(program.interrupted for program in programs):
            return          # pressed twice: the next picture is not meant
        batches = [task.batch_of(program.index) for program in programs]
        for program, batch in zip(programs, batches, strict=True):
            if batch == min(batches):
                self._interrupt(program)

    def step(self) -> bool:
        """Start the pictures that there is room for, then do one piece of work, see `work_order`.

        Returns False when there is nothing to do.
        """
        with self.current_work.doing("preparing", list(self.tasks)):
            self._admit()
            self._work()
        return bool(self.programs or self.tasks or self.beside)

    def _work(self) -> None:
        for beside in [*self.beside]:
            self._come(beside)
        being_made = self._being_made
        going = [p for p in self.programs if p not in being_made and not self.shared.is_made_by_another(p, p.work)]
        match same := asking_next(going):
            case [Program(work=list()), *_]:
                self._call(self._pack(same))
            case [Program(work=Enlarge() as work) as program, *_]:
                self._enlarge(program, work)
            case [Program(work=DecodeLatent()), *_]:
                self._decode(same)
            case [Program(work=Calculate()), *_]:
                self._calculate(same)
            case [program, *_]:
                self._prepare(program, program.work)
            case [] if self.beside:
                self._come(self.beside[0], wait=True)

    # ---- who draws ----

    def _admit(self) -> None:
        head = next(iter(self.tasks.values()), None)
        if self.policy == "solo" and not (head and head.run.plot):
            waiting = next((task for task in self.tasks.values() if task.waiting), None)
            if waiting and not self._at_work(beside=waiting):
                self._admit_batch(waiting)
            return
        following = self.admission.next_cell if self.policy == "solo" else self.admission.next
        while task := following(self.tasks.values(), self.programs):
            self._start(task)

    def _admit_batch(self, task: Task) -> None:
        while task.waiting and not self._at_work(beside=task):
            for _ in range(task.run.request.batch_size):
                mine = self._at_work(beside=task)
                if task.waiting and self.network_room.has_room_for(task, mine):
                    self._start(task)

    def _at_work(self, beside: Task) -> list[Program]:
        """The programs whose calls or memory a picture of that task would meet: not those that are only decoded."""
        decoded = [each for each in self.programs if each.draws_no_more and each in self._being_made]
        alone = beside.run.plot or any(program.task.key != beside.key for program in decoded)
        return self.programs if alone else [program for program in self.programs if program not in decoded]

    @property
    def _being_made(self) -> set[Program]:
        """The programs for which something is made beside the calls."""
        return {program for each in self.beside for program in each.programs if each.is_for(program)}

    def _start(self, task: Task) -> None:
        indices = task.take()
        with self._border(task):
            program = compose(task, indices, self._loaded(task, indices), self._heard)
            if program.model:
                self.memory.pin(program.model, program)
                self.models.choose_vae(program)
            self.programs.append(program)
            self._advance(program, None)

    def _loaded(self, task: Task, indices: Sequence[int]) -> Model | None:
        """The checkpoint that pictures of a task start on; the reading is left off when no other task starts on it."""
        if task.postprocesses:
            return None
        wanted = [each.run.job for each in self.tasks.values() if each.key == task.key]
        try:
            with self.cancellations.heeded(wanted):
                return self.models.load(task.run.job, task.run.checkpoint)
        except WorkCancelled:
            task.drawing.difference_update(indices)
            raise

    # ---- what they ask for ----

    def _prepare(self, program: Program, work: Preparation) -> None:
        with self._border(program.task, program):
            with self.cancellations.heeded(jobs_of([program])):
                answer = self._prepared(program, work)
            if isinstance(work, EncodePicture):
                self._begun(SideWork([program], [work], answer, self._encoded))
            else:
                self._advance(program, answer)

    def _prepared(self, program: Program, work: Preparation) -> Any:
        jobs = jobs_of([program])
        if isinstance(work, GuideWork):
            word, answer = ANSWERS[type(work)]
            with self.current_work.doing(word, jobs):
                return answer(self.memory, program, work)
        match work:
            case LoadNetworks():
                with self.current_work.doing("loading", jobs):
                    return load_networks(self.memory, program, work, self.emit)
            case EncodeText():
                with self.current_work.doing("encoding", jobs):
                    return encode_texts(self.codec, self.memory, program, work, self.emit)
            case EncodePicture():
                with self.current_work.doing("encoding", jobs):
                    return self.codec.picture(program.autoencoder, work)
            case UseModel():
                return self.models.use(program, work.name)
            case Shared():
                return self.shared.answer(program, work)
            case Expect():
                program.expected += work.tiles
                return None
        with self.current_work.doing("upscaling", jobs):
            answer = self.pixel_networks.answer(program.task.run, work, program)
        if isinstance(work, SwapFaces):
            program.note(answer.note)
        return answer

    def _enlarge(self, program: Program, work: Enlarge) -> None:
        """One tile; then it is the others' turn."""
        self.programs.append(self.programs.pop(self.programs.index(program)))
        with self._border(program.task, program):
            jobs = jobs_of([program])
            with self.current_work.doing("upscaling", jobs), self.cancellations.heeded(jobs):
                pixels = self.pixel_networks.answer(program.task.run, work, program)
            if pixels is not None:
                self._step_done(program)
            self._advance(program, pixels)

    def _decode(self, ready: list[Program]) -> None:
        first = ready[0]
        same = [p for p in ready if p.autoencoder is first.autoencoder and p.work.kind == first.work.kind]
        # Other counts are rounded otherwise on some processors, and how many cells are ready is chance.
        alone = self.policy == "solo" and first.task.run.plot
        batch = same[:1 if alone else DECODED_TOGETHER]
        with self._shared_border(batch, self._decode), self.current_work.doing("decoding", jobs_of(batch)):
            works = [program.work for program in batch]
            self._begun(SideWork(batch, works, self.codec.decode(first.autoencoder, works), self._decoded))

    # ---- what is made beside the network's calls ----

    def _begun(self, beside: SideWork) -> None:
        """Nobody takes the weights from under it, whatever becomes of its pictures."""
        for network in {id(p.autoencoder): p.autoencoder for p in beside.programs}.values():
            self.memory.pin(network, beside)
        self.beside.append(beside)
        self._come(beside)

    def _come(self, beside: SideWork, wait: bool = False) -> None:
        """Give those that still want it what was made for them, if it is there."""
        if not wait and not beside.coming.is_there:
            return
        self.beside.remove(beside)
        wanted = [program for program in beside.programs if program in self.programs and beside.is_for(program)]
        beside.answer(beside, wanted)
        self.memory.unpin(beside)

    def _encoded(self, beside: SideWork, wanted: list[Program]) -> None:
        for program in wanted:
            with self._border(program.task, program):
                with self.current_work.doing("encoding", jobs_of(wanted)):
                    latent, note = beside.coming.get()
                program.note(note)
                self._advance(program, latent)

    def _decoded(self, beside: SideWork, wanted: list[Program]) -> None:
        with self._shared_border([*beside.programs], self._decode):
            with self.current_work.doing("decoding", jobs_of(wanted)):
                decoded, note = beside.coming.get()
            for program, pixels in zip(beside.programs, decoded, strict=True):
                if program in wanted:
                    program.note(note)
                    self._advance(program, pixels)

    def _pack(self, programs: Sequence[Program]) -> list[Slot]:
        """The rows of the next call: all that share the key of the program that waited longest."""
        slots = [(p, i) for p in programs for i, answer in enumerate(p.answers) if answer is None]
        key = _row(slots[0]).key
        return [slot for slot in slots if _row(slot).key == key]

    def _call(self, slots: list[Slot]) -> None:
        first = firsts([(p.task.run.plot, p.work[position]) for p, position in slots])
        different = [slot for number, slot in enumerate(slots) if first[number] == number]
        curve = self.row_counts.curve(_row(slots[0]), len(different))
        size = self.row_counts.choose(curve, len(different), slots[0][0].task.run.plot)
        affordable, size = self.row_counts.affordable([_row(slot) for slot in different], size)
        different = [different[number] for number in affordable]
        taken = different[:whole([_row(slot) for slot in different], size)]
        rows = filled([self._steady(slot) for slot in taken], size)
        self.admission.called()
        with self._shared_border(list(dict.fromkeys(p for p, _ in taken)), self._call_alone):
            started = time.perf_counter()
            with self.current_work.doing("denoising", jobs_of(p for p, _ in taken)):
                answers = self.row_counts.halved(denoise, rows, curve)
            seconds = time.perf_counter() - started
            curve.record(len(rows), seconds)
            self.current_work.called(seconds, len(taken), len(rows))
            given = dict(zip(taken, answers, strict=False))
            of = [(slot, slots[number]) for slot, number in zip(slots, first, strict=True)]
            self._hand_back([(slot, given[same]) for slot, same in of if same in given])

    def _steady(self, slot: Slot) -> Row:
        """A plot's cell repeats bit for bit where requests do not share calls."""
        row = _row(slot)
        return replace(row, steady=True) if self.policy == "solo" and slot[0].task.run.plot else row

    def _hand_back(self, given: Sequence[tuple[Slot, Answer]]) -> None:
        for (program, position), answer in given:
            program.answers[position] = answer
        for program in dict.fromkeys(program for (program, _), _ in given):
            if all(answer is not None for answer in program.answers):
                self.programs.remove(program)
                self.programs.append(program)
                self._advance(program, program.answers)
        self._calculate(self._calculating)

    @property
    def _calculating(self) -> list[Program]:
        return [program for program in self.programs if isinstance(program.work, Calculate)]

    def _calculate(self, programs: list[Program]) -> None:
        """What samplers have put off, for all pictures that have come so far."""
        with self._shared_border(programs, self._calculate):
            found = calculate([program.work for program in programs])
            for program, latents in zip(programs, found, strict=True):
                self._advance(program, latents)

    def _call_alone(self, programs: list[Program]) -> None:
        program, answers = programs[0], []
        with self.current_work.doing("denoising", jobs_of(programs)):
            for length in units(program.work):
                answers += denoise(program.work[len(answers) : len(answers) + length])
        self._hand_back([((program, position), answer) for position, answer in enumerate(answers)])

    # ---- how they go on, end and fail ----

    def _advance(self, program: Program, answer: Any) -> None:
        with self._border(program.task, program):
            self._follow(program, program.go_on(answer))

    def _interrupt(self, program: Program) -> None:
        """End a program with what there is of its picture; those that would be made from it are left out."""
        if program not in self.programs or program.interrupted:
            return
        with self._border(program.task, program):
            self.shared.leave(program)
            left_out = [due.index for due in program.due][1:]
            work = program.interrupt()
            self._leave_out(program.task, left_out)
            self._follow(program, work)

    def _follow(self, program: Program, work: Any) -> None:
        """Take up what a program asks for next, or its end."""
        while isinstance(work, Shared) and not self.shared.is_made_by_another(program, work):
            work = program.go_on(self.shared.answer(program, work))
        while isinstance(work, Finished):
            self._deliver(program, work.pixels)
            if not program.due:
                return          # it was interrupted in this round
            work = program.go_on(None)
        if not isinstance(work, Ended):
            program.work, program.answers = work, [None] * len(work) if isinstance(work, list) else []
        elif work.pixels is not None:
            self._deliver(program, work.pixels, work.unfinished)
        else:
            self._close(program)
            self._leave_out(program.task, [program.index])
            self._finish_if_empty(program.task)

    def _deliver(self, program: Program, pixels: np.ndarray, unfinished: bool = False) -> None:
        with self.current_work.doing("loading", jobs_of([program])):    # the hash may still be read
            facts = program.facts
        task, due, notes = program.task, program.due[0], tuple(program.notes)
        if unfinished:
            facts |= {UNFINISHED: f"step {program.call} of {program.expected}"}
        if not program.next():
            self._close(program)
        task.drawing.discard(due.index)
        self.emit(Picture(
            job=task.run.job, index=due.index,
            width=pixels.shape[1], height=pixels.shape[0], pixels=pixels.tobytes(),
            facts=facts, notes=(*due.notes, *notes), unfinished=unfinished,
        ))
        if unfinished:
            self._leave_out(task, [due.index])
        self._finish_if_empty(task)

    def _leave_out(self, task: Task, indices: Sequence[int]) -> None:
        """These pictures are not drawn, or not to their end."""
        task.drawing.difference_update(indices)
        for index in () if task.cancelled else indices:
            self.emit(Skipped(task.run.job, index))

    def _programs_of(self, task: Task) -> list[Program]:
        return [program for program in self.programs if program.task is task]

    def _close(self, program: Program) -> None:
        program.drawing.close()
        self.shared.leave(program)
        self.memory.unpin(program)
        self.programs.remove(program)

    def _finish_if_empty(self, task: Task) -> None:
        if task.run.job in self.tasks and not task.waiting and not task.drawing:
            self._drop(task)
            self.emit(Cancelled(task.run.job) if task.cancelled else Done(task.run.job))

    def _drop(self, task: Task) -> None:
        for program in self._programs_of(task):
            self._close(program)
        task.waiting.clear()
        task.drawing.clear()
        self.tasks.pop(task.run.job, None)
        if not self.tasks:
            self.shared.clear()
            self.memory.words.shrink(0)

    def _fail(self, task: Task, error: BaseException) -> None:
        if task.run.job not in self.tasks:
            return
        self._drop(task)
        detail = "".join(traceback.format_exception(error))
        log.error("job %s failed\n%s", task.run.job, detail)
        if task.cancelled:      # what there was of its picture could not be decoded
            self.emit(Cancelled(task.run.job))
            return
        if isinstance(error, EaselError):
            self.emit(Failed(task.run.job, error.problems, detail))
            return
        extension = self.switch_off(error)
        blamed = blame(extension) if extension else ""
        self.emit(Failed(task.run.job, (Problem(blamed + _sentence(error)),), detail, extension))

    @contextmanager
    def _border(self, task: Task, program: Program | None = None) -> Iterator[None]:
        """Whatever goes wrong inside fails this job only; what was left off in the middle cancels it."""
        try:
            yield
        except WorkCancelled:
            self.cancel(task.run.job)
        except BaseException as error:  # noqa: BLE001 - the border of one job, for sys.exit() too
            self._fail(task, self._noted(program, error) if program else error)

    @contextmanager
    def _shared_border(self, programs: list[Program], alone: Callable[[list[Program]], None]) -> Iterator[None]:
        """Work of several pictures went wrong: a single one is the culprit, else each is tried alone, once."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - the border of the jobs that share the work
            if len(programs) == 1:
                self._fail(programs[0].task, self._noted(programs[0], error))
                return
            for program in [program for program in programs if program in self.programs]:
                with self._border(program.task, program):
                    alone([program])

    @staticmethod
    def _noted(program: Program, error: BaseException) -> BaseException:
        job = program.task.run.job
        error.add_note(f"job {job}, picture {program.index}, call {program.call}, sigma {program.sigma:g}")
        return error

    def _heard(self, program: Program, noisy: Noisy, denoised: Tensor) -> None:
        """A picture has made one denoiser call more."""
        program.sigma = noisy.sigma
        self._step_done(program)
        self.previews.show(program, denoised)

    def _step_done(self, program: Program) -> None:
        program.call += 1
        program.expected = max(program.expected, program.call)
        self.emit(Progress(program.task.run.job, program.index, program.call, program.expected))


def _row(slot: Slot) -> Row:
    return slot[0].work[slot[1]]


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:500].removesuffix(": ")
