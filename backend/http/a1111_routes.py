"""The routes of AUTOMATIC1111's API, version 1.10: a client written for it works here."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from backend import Backend
from backend.errors import InvalidRequest, UserError
from backend.http import a1111_responses as answers
from backend.http.a1111_requests import read_img2img, read_options, read_payload, write_options
from backend.http.dependencies import ClientOptions, FrontDoor, Owner, Watch
from backend.http.errors import JobFailed
from backend.http.wait_for_jobs import CLIENT_GONE, ended
from backend.image import save
from backend.image import upload_validation as incoming
from backend.request.preferences import settings
from backend.request.request import LATENT_UPSCALERS
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

router = APIRouter(prefix="/sdapi/v1")


@router.post("/txt2img")
async def txt2img(
    request: Request, backend: FrontDoor, changes: Watch, options: ClientOptions, owner: Owner, payload: dict[str, Any]
) -> Response:
    """Queues the request and answers when its pictures are made; hanging up cancels it."""
    values = await to_thread.run_sync(read_payload, payload, options.of(owner), backend, owner)
    return await _drawn(request, backend, changes, owner, values, payload)


@router.post("/img2img")
async def img2img(
    request: Request, backend: FrontDoor, changes: Watch, options: ClientOptions, owner: Owner, payload: dict[str, Any]
) -> Response:
    """The same from a picture, and with a mask only where that is white."""
    values = await to_thread.run_sync(read_img2img, payload, options.of(owner), backend, owner)
    return await _drawn(request, backend, changes, owner, values, payload)


@router.get("/progress")
def progress(backend: FrontDoor, owner: Owner, skip_current_image: bool = False) -> dict[str, Any]:
    """How far the caller's running job is, with a rough picture."""
    job = next((job for job in backend.queue(owner) if job.state == "running"), None)
    live = backend.live(job.id) if job else None
    preview = backend.preview(job.id, owner) if job and not skip_current_image else None
    return answers.progress(job, live, preview)


@router.post("/interrupt")
def interrupt(backend: FrontDoor, owner: Owner) -> dict[str, Any]:
    """Stops the caller's running job; its finished pictures are kept and answered."""
    backend.interrupt(owner)
    return {}


@router.post("/skip")
def skip(backend: FrontDoor, owner: Owner) -> dict[str, Any]:
    """Leaves out the picture being drawn."""
    backend.skip(owner)
    return {}


@router.get("/options")
def options(backend: FrontDoor, kept: ClientOptions, owner: Owner) -> dict[str, Any]:
    """The settings that a request of this caller starts from."""
    return write_options({**settings(backend.preferences(owner)), **kept.of(owner)}, backend)


@router.post("/options")
def set_options(backend: FrontDoor, kept: ClientOptions, owner: Owner, payload: dict[str, Any]) -> dict[str, Any]:
    """Keeps settings for the caller's later API requests, those of the Settings tab for the page too."""
    values = read_options(payload, backend)
    chosen = settings(values)
    backend.set_preferences(chosen, owner)
    kept.update(owner, {name: value for name, value in values.items() if name not in chosen})
    return {}


@router.get("/sd-models")
def models(backend: FrontDoor, _: Owner) -> list[dict[str, Any]]:
    """The checkpoints that a request may name."""
    return [answers.model(checkpoint) for checkpoint in backend.checkpoints()]


@router.post("/refresh-checkpoints")
def refresh_checkpoints(backend: FrontDoor, _: Owner) -> dict[str, Any]:
    """Looks through the model folders again."""
    backend.checkpoints(refresh=True)
    return {}


@router.get("/samplers")
def samplers() -> list[dict[str, Any]]:
    """Every sampling method with its older names."""
    return [answers.sampler(row, SCHEDULES) for row in SAMPLERS.values()]


@router.get("/schedulers")
def schedulers() -> list[dict[str, Any]]:
    """Every noise schedule."""
    return [answers.scheduler(row) for row in SCHEDULES.values()]


@router.get("/prompt-styles")
def prompt_styles(backend: FrontDoor, owner: Owner) -> list[dict[str, str]]:
    """The styles that a request of this caller may name."""
    return backend.prompt_library.as_theirs(owner)


@router.post("/png-info")
def png_info(backend: FrontDoor, owner: Owner, payload: dict[str, Any]) -> dict[str, Any]:
    """What a picture (base64) says of how it was made."""
    try:
        saved = save.read(incoming.from_base64(payload.get("image")))
    except UserError as error:
        raise InvalidRequest(str(error), field="image") from error
    return answers.png_info(saved, backend.prompt_library.as_theirs(owner))


@router.get("/latent-upscale-modes")
def latent_upscale_modes(_: Owner) -> list[dict[str, str]]:
    """What enlarges its latent."""
    return [{"name": name} for name in LATENT_UPSCALERS]


async def _drawn(
    request: Request, backend: Backend, changes: Watch, owner: str, values: dict[str, Any], payload: dict[str, Any]
) -> Response:
    queued = await to_thread.run_sync(backend.submit, values, owner)
    over = await ended(request, backend, changes, [queued])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    job = over[0]
    if job.state == "failed":
        raise JobFailed(problems=job.problems)
    send_images = payload.get("send_images", True) is not False
    answer = await to_thread.run_sync(answers.drawn, backend, job, send_images)
    if payload.get("include_init_images") and send_images:
        answer["parameters"] |= {name: payload.get(name) for name in ("init_images", "mask")}
    return JSONResponse(answer)
