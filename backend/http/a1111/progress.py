"""How far a client's call is, as AUTOMATIC1111 counts: a job is a batch, and with hires fix each of its two passes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from PIL import Image

from backend import Door, Job, Live
from backend.errors import NotFound
from backend.http.a1111.calls import Call, meant
from backend.http.a1111.responses import timestamp
from backend.http.dependencies import FrontDoor, OwnCalls
from backend.image.read import BROKEN
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.sampling.samplers import SAMPLERS

STARTED = 0.01          # what AUTOMATIC1111 tells before the first step
MAX_RUNNING = 64        # jobs that workers have at once; they stand first in the queue
WAITING = "Waiting in the queue"

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Standing:
    """A job in AUTOMATIC1111's counts."""

    count: int = 0
    number: int = 0
    step: int = 0
    steps: int = 0

    @classmethod
    def of(cls, request: Request, live: Live | None) -> Standing:
        """Steps are those of the pass in work; a network that is asked twice in each step has half as many."""
        together = 1 if request.rounds > 1 else request.batch_size
        passes = 2 if request.enable_hr and request.process != EXTRAS else 1
        count = -(-request.count // together) * passes
        if live is None:
            return cls(count)
        number = min(live.done // together * passes, count)
        if live.index < live.done or not live.steps:        # the next picture has made no step yet
            return cls(count, number)
        first = live.steps if passes == 1 else _first_pass(request, live.steps)
        late = live.step > first
        step, steps = (live.step - first, live.steps - first) if late else (live.step, first)
        per_step = 2 if SAMPLERS[request.sampler].second_order and request.process != EXTRAS else 1
        return cls(count, number + late, step // per_step, -(-steps // per_step))


@router.get("/sdapi/v1/progress")
def progress(
    door: FrontDoor, calls: OwnCalls, skip_current_image: bool = False, force_task_id: str = ""
) -> dict[str, Any]:
    """How far the caller's running job is, with a rough picture."""
    own = calls.open(force_task_id)
    strict = calls.means_own_only(force_task_id)
    running = next(iter(meant(own, running_jobs(door), only_own=strict)), None)
    if running is None:
        return _resting(own, calls.latest(force_task_id))
    call = calls.with_job(running)
    return _moving(door, running, call, preview=not skip_current_image)


@router.post("/internal/progress")
def task_progress(door: FrontDoor, calls: OwnCalls, payload: dict[str, Any]) -> dict[str, Any]:
    """How far the task is that came with this `force_task_id`, as AUTOMATIC1111's page asks."""
    task = str(payload.get("id_task") or "")
    seen = _number(payload.get("id_live_preview"))
    own = calls.open(task) if task else []
    running = next(iter(meant(own, running_jobs(door), only_own=True)), None)
    if running is None:
        order = list(dict.fromkeys([*calls.tasks(), task]))
        place = f"In queue: {order.index(task) + 1}/{len(order)}" if own else "Waiting..."
        return {"active": False, "queued": bool(own), "completed": not own and bool(task)
                and calls.latest(task) is not None, "progress": None, "eta": None, "live_preview": None,
                "id_live_preview": -1, "textinfo": place}
    wants = payload.get("live_preview", True) is not False
    told, live = _moving(door, running, own[0], preview=False), door.live(running)
    newest = live.preview if live else 0
    picture = _picture(door, running) if wants and newest and newest != seen else None
    return {"active": True, "queued": False, "completed": False, "progress": told["progress"],
            "eta": told["eta_relative"], "live_preview": f"data:image/png;base64,{picture}" if picture else None,
            "id_live_preview": newest if picture else seen, "textinfo": told["textinfo"]}


@router.get("/internal/pending-tasks")
def pending_tasks(calls: OwnCalls) -> dict[str, Any]:
    """The task ids of the caller's calls that are on their way."""
    tasks = calls.tasks()
    return {"size": len(tasks), "tasks": tasks}


def running_jobs(door: Door) -> list[str]:
    """Ids of the user's jobs that are being drawn."""
    return door.running(MAX_RUNNING)


def _moving(door: Door, running: str, call: Call | None, *, preview: bool) -> dict[str, Any]:
    job, live = door.job(running), _live(door, running)
    jobs = call.jobs if call else (running,)
    place, standing = jobs.index(running), Standing.of(job.request, live)
    fraction = live.fraction if live else 0.0
    return {
        "progress": max((place + fraction) / len(jobs), STARTED),
        "eta_relative": _eta(live, len(jobs) - place - 1),
        "state": _state(job, standing, place, len(jobs)) | _marks(call, job.id, live),
        "current_image": _picture(door, running) if preview else None,
        "textinfo": (live.message or None) if live else None, "current_task": (call.task or None) if call else None,
    }


def _resting(own: Sequence[Call], latest: Call | None) -> dict[str, Any]:
    state = _state(None, Standing(), 0, 1)
    ended = not own and latest is not None
    return {
        "progress": 0.0, "eta_relative": 0.0, "current_image": None, "textinfo": WAITING if own else None,
        "current_task": None,
        "state": state | ({"interrupted": latest.interrupted, "skipped": bool(latest.skipped)} if ended else {}),
    }


def _state(job: Job | None, standing: Standing, place: int, jobs: int) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": _name(job.request) if job else "",
        "job_count": standing.count * jobs,
        "job_timestamp": timestamp(job),
        "job_no": standing.number + standing.count * place,
        "sampling_step": standing.step,
        "sampling_steps": standing.steps,
    }


def _marks(call: Call | None, job: str, live: Live | None) -> dict[str, bool]:
    """A skip holds until the next picture is begun."""
    skipped = call is not None and live is not None and (job, live.index) in call.skipped
    return {"interrupted": bool(call and call.interrupted), "skipped": skipped}


def _name(request: Request) -> str:
    if request.process == EXTRAS:
        return "extras"
    return "scripts_img2img" if request.init_image else "scripts_txt2img"


def _first_pass(request: Request, calls: int) -> int:
    """How many of a picture's network calls belong to the first pass of hires fix."""
    second = request.hr_second_pass_steps or request.steps
    return round(calls * request.steps / (request.steps + second))


def _eta(live: Live | None, more: int) -> float:
    """Seconds; jobs of the same call that wait behind this one take as long as it does."""
    if live is None or live.eta is None:
        return 0.0
    whole = live.eta / (1 - live.fraction) if live.fraction < 1 else live.eta
    return live.eta + more * whole


def _live(door: Door, job: str) -> Live | None:
    try:
        return door.live(job)
    except NotFound:
        return None


def _picture(door: Door, job: str) -> str | None:
    """The newest preview as PNG in base64."""
    jpeg = door.preview(job)
    if not jpeg:
        return None
    out = io.BytesIO()
    try:
        Image.open(io.BytesIO(jpeg)).save(out, "PNG")
    except BROKEN:
        return None
    return base64.b64encode(out.getvalue()).decode("ascii")


def _number(value: Any) -> int:
    return value if isinstance(value, int) else -1
