"""The routes of AUTOMATIC1111's API, version 1.10: a client written for it works here."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from backend import Door
from backend.errors import InvalidRequest, UserError
from backend.http import a1111_responses
from backend.http.a1111_requests import read_img2img, read_options, read_payload, write_options
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, FrontDoor, Watch
from backend.http.errors import JobFailed
from backend.http.wait_for_jobs import CLIENT_GONE, ended
from backend.image import upload_validation
from backend.image.read import read_metadata
from backend.request.preferences import settings
from backend.request.request import LATENT_UPSCALERS
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

router = APIRouter(prefix="/sdapi/v1")


@router.post("/txt2img")
async def txt2img(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, payload: dict[str, Any]
) -> Response:
    """Queues the request and answers when its pictures are made; hanging up cancels it."""
    values = await to_thread.run_sync(read_payload, payload, options.of(door), door)
    return await _drawn(request, door, changes, values, payload)


@router.post("/img2img")
async def img2img(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, payload: dict[str, Any]
) -> Response:
    """The same from a picture, and with a mask only where that is white."""
    values = await run_decoding(read_img2img, payload, options.of(door), door)
    return await _drawn(request, door, changes, values, payload)


@router.get("/progress")
def progress(door: FrontDoor, skip_current_image: bool = False) -> dict[str, Any]:
    """How far the caller's running job is, with a rough picture."""
    running = next((job.id for job in door.overview(limit=1).jobs if job.state == "running"), "")
    job = door.job(running) if running else None
    live = door.live(job.id) if job else None
    preview = door.preview(job.id) if job and not skip_current_image else None
    return a1111_responses.progress(job, live, preview)


@router.post("/interrupt")
def interrupt(door: FrontDoor) -> dict[str, Any]:
    """Stops the caller's running job; its finished pictures are kept and answered."""
    door.interrupt()
    return {}


@router.post("/skip")
def skip(door: FrontDoor) -> dict[str, Any]:
    """Leaves out the picture being drawn."""
    door.skip()
    return {}


@router.get("/options")
def options(door: FrontDoor, kept: ClientOptions) -> dict[str, Any]:
    """The settings that a request of this caller starts from."""
    return write_options({**settings(door.preferences()), **kept.of(door)}, door)


@router.post("/options")
def set_options(door: FrontDoor, kept: ClientOptions, payload: dict[str, Any]) -> dict[str, Any]:
    """Keeps settings for the caller's later API requests, those of the Settings tab for the page too."""
    values = read_options(payload, door)
    chosen = settings(values)
    door.set_preferences(chosen)
    kept.update(door, {name: value for name, value in values.items() if name not in chosen})
    return {}


@router.get("/sd-models")
def models(door: FrontDoor) -> list[dict[str, Any]]:
    """The checkpoints that a request may name."""
    return [a1111_responses.model(checkpoint) for checkpoint in door.backend.checkpoints()]


@router.post("/refresh-checkpoints")
def refresh_checkpoints(door: FrontDoor) -> dict[str, Any]:
    """Looks through the model folders again."""
    door.backend.checkpoints(refresh=True)
    return {}


@router.get("/samplers")
def samplers() -> list[dict[str, Any]]:
    """Every sampling method with its older names."""
    return [a1111_responses.sampler(row, SCHEDULES) for row in SAMPLERS.values()]


@router.get("/schedulers")
def schedulers() -> list[dict[str, Any]]:
    """Every noise schedule."""
    return [a1111_responses.scheduler(row) for row in SCHEDULES.values()]


@router.get("/prompt-styles")
def prompt_styles(door: FrontDoor) -> list[dict[str, str]]:
    """The styles that a request of this caller may name."""
    return door.prompt_library.as_theirs()


@router.post("/png-info")
async def png_info(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """What a picture (base64) says of how it was made."""
    return await run_decoding(_png_info, door, payload.get("image"))


@router.get("/latent-upscale-modes")
def latent_upscale_modes() -> list[dict[str, str]]:
    """What enlarges its latent."""
    return [{"name": name} for name in LATENT_UPSCALERS]


def _png_info(door: Door, image: Any) -> dict[str, Any]:
    try:
        metadata = read_metadata(upload_validation.from_base64(image))
    except UserError as error:
        raise InvalidRequest(str(error), field="image") from error
    return a1111_responses.png_info(metadata, door.prompt_library.as_theirs())


async def _drawn(
    request: Request, door: Door, changes: Watch, values: dict[str, Any], payload: dict[str, Any]
) -> Response:
    queued = await to_thread.run_sync(door.submit, values)
    over = await ended(request, door, changes, [queued])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    job = over[0]
    if job.state == "failed":
        raise JobFailed(problems=job.problems)
    send_images = payload.get("send_images", True) is not False
    answer = await to_thread.run_sync(a1111_responses.drawn, door, job, send_images)
    if payload.get("include_init_images") and send_images:
        answer["parameters"] |= {name: payload.get(name) for name in ("init_images", "mask")}
    return JSONResponse(answer)
