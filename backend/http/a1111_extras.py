"""AUTOMATIC1111's routes for finished pictures, version 1.10: enlarge them, and make their faces clean."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from backend import Door, Job
from backend.errors import InvalidRequest, Problem, UserError
from backend.http import a1111_responses
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, FrontDoor, Watch
from backend.http.errors import JobFailed
from backend.http.wait_for_jobs import CLIENT_GONE, ended
from backend.image import upload_validation
from backend.image.postprocessing import infotext_values
from backend.image.read import read_metadata
from backend.request.field import MAX_PROMPT, Field, clean
from backend.request.request import FIELDS, PIXEL_UPSCALERS
from backend.request.rules import EXTRAS

BY_NAME: Mapping[str, Field] = FIELDS.by(lambda field: field.api_name if field.group == "extras" else "")
READ_HERE = ("resize_mode", "show_extras_results", "image", "imageList")
FACTOR = 2.0                # AUTOMATIC1111's API upscales by this where a client says nothing, its page by 4
SIDE = 512                  # and to this
FOLDER = "extras"           # below the outputs folder, for pictures that keep their names
TO_SIZE = ("upscale_to_width", "upscale_to_height")

router = APIRouter(prefix="/sdapi/v1")


@router.post("/extra-single-image")
async def extra_single_image(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, payload: dict[str, Any]
) -> Any:
    """Queues the picture and answers with the result; hanging up cancels it."""
    values = {**options.of(door), **read_extras(payload)}
    jobs = await run_decoding(_submitted, door, values, [("image", "", payload.get("image"))])
    over = await ended(request, door, changes, jobs)
    if over is None:
        return Response(status_code=CLIENT_GONE)
    images = await to_thread.run_sync(_results, door, over)
    return {"html_info": _html_info(jobs[0]), "image": images[0] if images else None}


@router.post("/extra-batch-images")
async def extra_batch_images(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, payload: dict[str, Any]
) -> Any:
    """The same for several pictures, which are all queued at once, each saved under its name."""
    values = {**options.of(door), **read_extras(payload)}
    jobs = await run_decoding(_submitted, door, values, _listed(payload))
    over = await ended(request, door, changes, jobs)
    if over is None:
        return Response(status_code=CLIENT_GONE)
    return {"html_info": _html_info(jobs[0]), "images": await to_thread.run_sync(_results, door, over)}


@router.get("/upscalers")
def upscalers(door: FrontDoor) -> list[dict[str, Any]]:
    """What enlarges pixels: two that need no file, then the files."""
    files = [a1111_responses.upscaler(file.key, file.facts["scale"]) for file in door.backend.upscalers()]
    return [*(a1111_responses.upscaler(name) for name in PIXEL_UPSCALERS), *files]


@router.get("/face-restorers")
def face_restorers(door: FrontDoor) -> list[dict[str, Any]]:
    """What makes faces clean, as far as its file is here."""
    return [{"name": name, "cmd_dir": None} for name in door.backend.face_restorers()]


def read_extras(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Field values of a payload, without the picture. Raises InvalidRequest naming every wrong or unknown entry."""
    problems = [Problem("is not something that Easel has; leave it out", key) for key in payload
                if key not in BY_NAME and key not in READ_HERE]
    values: dict[str, Any] = {"upscale_by": FACTOR} | dict.fromkeys(TO_SIZE, SIDE)
    for key, field in BY_NAME.items():
        if payload.get(key) is None:
            continue
        try:
            values[field.name] = clean(field, payload[key])
        except ValueError as error:
            problems.append(Problem(str(error), field.name))
    if payload.get("resize_mode", 0) not in (0, 1):
        problems.append(Problem("must be 0 (by a factor) or 1 (to a size)", "resize_mode"))
    if problems:
        raise InvalidRequest(problems=problems)
    by_factor = not payload.get("resize_mode")
    return values | dict.fromkeys(TO_SIZE, 0) if by_factor else values


def _listed(payload: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Place in the payload, file name and base64 text of each picture."""
    entries = payload.get("imageList")
    if not isinstance(entries, list) or not entries:
        raise InvalidRequest("must be a list of pictures, each with data and name", field="imageList")
    listed = []
    for number, entry in enumerate(entries):
        place = f"imageList.{number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name", ""), str):
            raise InvalidRequest("must have data and name", field=place)
        listed.append((f"{place}.data", entry.get("name", ""), entry.get("data")))
    return listed


def _submitted(door: Door, values: dict[str, Any], pictures: list[tuple[str, str, Any]]) -> list[Job]:
    """A job for each picture; none is queued when one of them cannot be read."""
    read = [_read(door, *picture) for picture in pictures]
    requests = [{**values, "process": EXTRAS, "init_image": upload, "source_text": text,
                 "output_name": name, "output_folder": FOLDER if name else ""} for name, upload, text in read]
    return door.submit_all(requests)


def _read(door: Door, place: str, name: str, data: Any) -> tuple[str, str, str]:
    """Name without ending, the upload's id, and the settings text inside it."""
    try:
        file = upload_validation.from_base64(data)
        upload = door.upload(file).id
    except UserError as error:
        raise InvalidRequest(str(error), field=place) from error
    return PureWindowsPath(name).stem, upload, _text(file)


def _text(file: bytes) -> str:
    """The settings that a picture carries; "" where its format has none, or more of it than a request can hold."""
    try:
        text = read_metadata(file).infotext
    except UserError:
        return ""
    return text if len(text) <= MAX_PROMPT else ""


def _results(door: Door, over: list[Job]) -> list[str]:
    """The files of all jobs in base64. Raises JobFailed for the first that failed."""
    for job in over:
        if job.state == "failed":
            raise JobFailed(problems=job.problems)
    files = [door.image_file(image.id) for job in over for image in job.images]
    return [base64.b64encode(file.read_bytes()).decode("ascii") for file in files]


def _html_info(job: Job) -> str:
    """What was done, as AUTOMATIC1111 shows it."""
    text = ", ".join(f"{key}: {value}" for key, value in infotext_values(job.request).items())
    return f"<div class='infotext'><p>{html.escape(text)}</p></div>" if text else ""
