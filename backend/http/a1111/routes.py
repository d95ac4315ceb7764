"""The routes of AUTOMATIC1111's API that draw, version 1.10: a client written for it works here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from backend import Door, Job
from backend.errors import EaselError, InvalidRequest, UserError
from backend.http.a1111 import plots, responses
from backend.http.a1111.calls import Call, meant
from backend.http.a1111.options import Chosen, changed, write
from backend.http.a1111.progress import running_jobs
from backend.http.a1111.requests import Reading, read_img2img, read_txt2img
from backend.http.async_watch import Changes
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, FrontDoor, OwnCalls, Watch
from backend.http.errors import JobFailed
from backend.http.json_answers import JSONAnswer
from backend.http.wait_for_jobs import CLIENT_GONE, ended
from backend.image import upload_decoding
from backend.image.read import read_metadata
from backend.request.preferences import settings

Body = dict[str, Any]

router = APIRouter(prefix="/sdapi/v1")


@router.post("/txt2img")
async def txt2img(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, calls: OwnCalls, payload: Body
) -> Response:
    """Queues the request and answers when its pictures are made; hanging up cancels it."""
    with calls.on_its_way(payload.get("force_task_id")) as call:
        reading = await to_thread.run_sync(read_txt2img, payload, options, door)
        jobs = await queued(request, door, changes, call, lambda: _submitted(door, reading, call))
        options.keep_overrides(payload)
        return await _answer(door, jobs, reading, payload, call.plot)


@router.post("/img2img")
async def img2img(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, calls: OwnCalls, payload: Body
) -> Response:
    """The same from a picture, and with a mask only where that is white. Several pictures are drawn as a batch."""
    with calls.on_its_way(payload.get("force_task_id")) as call:
        reading = await run_decoding(read_img2img, payload, options, door)
        jobs = await queued(request, door, changes, call, lambda: _submitted(door, reading, call))
        options.keep_overrides(payload)
        return await _answer(door, jobs, reading, payload, call.plot)


@router.post("/interrupt")
def interrupt(
    door: FrontDoor, calls: OwnCalls, payload: Body | None = None, force_task_id: str = ""
) -> dict[str, Any]:
    """Stops the caller's running job, or the one that is just about to run.

    What there is of its pictures is kept and answered.
    """
    task, everything = _task(payload, force_task_id), running_jobs(door)
    own, strict = calls.open(task), calls.means_own_only(task)
    running = meant(own, everything, only_own=strict)
    stopped = [call for call in own if not call.jobs or set(call.jobs) & set(running)]
    if not everything:
        stopped = stopped or own[:1]
        if not own and not strict:
            door.interrupt()
    for call in stopped:
        call.interrupted = True
    for job in dict.fromkeys([*running, *(job for call in stopped for job in call.jobs)]):
        _cancel(door, job)
    return {}


@router.post("/skip")
def skip(
    door: FrontDoor, calls: OwnCalls, payload: Body | None = None, force_task_id: str = ""
) -> None:
    """Ends the picture being drawn, and goes on with the next."""
    task = _task(payload, force_task_id)
    for job in meant(calls.open(task), running_jobs(door), only_own=calls.means_own_only(task)):
        call, live = calls.with_job(job), door.live(job)
        if call and live:
            call.skipped.add((job, live.index))
        door.skip([job])


@router.get("/options")
def options(door: FrontDoor, kept: ClientOptions) -> dict[str, Any]:
    """Every option, as a request of this caller starts from it."""
    return write(kept.chosen(), door)


@router.post("/options")
def set_options(door: FrontDoor, kept: ClientOptions, payload: Body) -> None:
    """Keeps options for the caller's later API requests, those of the Settings tab for the page too."""
    chosen = changed(payload, write(kept.chosen(), door), door, ignore=kept.ignore)
    preferred = settings(chosen.values)
    door.set_preferences(preferred)
    own = {name: value for name, value in chosen.values.items() if name not in preferred}
    kept.update(Chosen(own, chosen.kept))


@router.post("/png-info")
async def png_info(door: FrontDoor, payload: Body) -> dict[str, Any]:
    """What a picture (base64) says of how it was made."""
    return await run_decoding(_png_info, door, payload.get("image"))


def _png_info(door: Door, image: Any) -> dict[str, Any]:
    try:
        metadata = read_metadata(upload_decoding.from_base64(image))
    except UserError as error:
        raise InvalidRequest(str(error), field="image") from error
    return responses.png_info(metadata, door.prompt_library.as_theirs())


async def queued(
    request: Request, door: Door, changes: Changes, call: Call, submit: Callable[[], list[Job]]
) -> list[Job] | None:
    """The jobs that `submit` queues, once they have ended; None when the client has hung up.

    An interrupt that came before they were queued counts.
    """
    jobs = await to_thread.run_sync(submit)
    call.jobs = tuple(job.id for job in jobs)
    if call.interrupted:
        for job in call.jobs:
            await to_thread.run_sync(_cancel, door, job)
    return await ended(request, door, changes, jobs)


def _submitted(door: Door, reading: Reading, call: Call) -> list[Job]:
    """The jobs of a payload, or the cells of the plot that it draws."""
    if not reading.plot:
        return door.submit_all(reading.jobs)
    call.plot = plots.create(door, reading.plot, reading.jobs[0])
    return plots.cells(door, call.plot)


async def _answer(
    door: Door, jobs: list[Job] | None, reading: Reading, payload: Mapping[str, Any], plot: str
) -> Response:
    """Of jobs that one failed of, why it did; of a plot only where all of its cells failed."""
    if jobs is None:
        return Response(status_code=CLIENT_GONE)
    failed = [job for job in jobs if job.state == "failed"]
    if failed and (not plot or len(failed) == len(jobs)):
        raise JobFailed(problems=failed[0].problems)
    if plot:
        drawn = plots.Drawn(plot, jobs)
        return JSONAnswer(await run_decoding(plots.drawn, door, drawn, reading, payload))
    return JSONAnswer(await to_thread.run_sync(responses.drawn, door, jobs, reading, payload))


def _task(payload: Body | None, query: str) -> str:
    """The task that is meant, where a client says so."""
    return query or str((payload or {}).get("force_task_id") or "")


def _cancel(door: Door, job: str) -> None:
    with contextlib.suppress(EaselError):       # it has ended meanwhile
        door.cancel(job)
