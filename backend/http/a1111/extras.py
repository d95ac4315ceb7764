"""AUTOMATIC1111's routes for finished pictures, version 1.10: enlarge them, and make their faces clean."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import PureWindowsPath
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from backend import Door, Job
from backend.errors import InvalidRequest, Problem, UserError
from backend.http.a1111.routes import queued
from backend.http.a1111.values import as_ours
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, FrontDoor, OwnCalls, Watch
from backend.http.errors import JobFailed
from backend.http.wait_for_jobs import CLIENT_GONE
from backend.image import upload_decoding
from backend.image.extras_text import infotext_values
from backend.image.read import read_metadata
from backend.request.choices import EXTRAS
from backend.request.field import MAX_PROMPT, Field, clean
from backend.request.loose_values import is_same
from backend.request.request import FIELDS

BY_NAME: Mapping[str, Field] = FIELDS.by(lambda field: field.api_name if field.group == "extras" else "")
READ_HERE = ("resize_mode", "show_extras_results", "image", "imageList", "force_task_id")
FACTOR = 2.0                # AUTOMATIC1111's API upscales by this where a client says nothing, its page by 4
SIDE = 512                  # and to this
FOLDER = "extras"           # below the outputs folder, for pictures that keep their names
TO_SIZE = ("upscale_to_width", "upscale_to_height")

router = APIRouter(prefix="/sdapi/v1")


@router.post("/extra-single-image")
async def extra_single_image(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, calls: OwnCalls, payload: dict[str, Any]
) -> Any:
    """Queues the picture and answers with the result; hanging up cancels it."""
    with calls.on_its_way(payload.get("force_task_id")) as call:
        values, foreign = read_extras(payload)
        requests = await run_decoding(extras_jobs, door, {**options.chosen().values, **values},
                                      [("image", "", payload.get("image"))])
        over = await queued(request, door, changes, call, lambda: door.submit_all(requests))
        images = await to_thread.run_sync(results, door, over or [])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    return {"html_info": _html_info(over[0], foreign), "image": images[0] if images else None}


@router.post("/extra-batch-images")
async def extra_batch_images(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, calls: OwnCalls, payload: dict[str, Any]
) -> Any:
    """The same for several pictures, which are all queued at once, each saved under its name."""
    with calls.on_its_way(payload.get("force_task_id")) as call:
        values, foreign = read_extras(payload)
        requests = await run_decoding(extras_jobs, door, {**options.chosen().values, **values}, _listed(payload))
        over = await queued(request, door, changes, call, lambda: door.submit_all(requests))
        images = await to_thread.run_sync(results, door, over or [])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    return {"html_info": _html_info(over[0], foreign), "images": images}


def read_extras(payload: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Field values of a payload, without the picture, and the names that AUTOMATIC1111 never had.

    Raises InvalidRequest naming every wrong entry.
    """
    problems = []
    values: dict[str, Any] = {"upscale_by": FACTOR} | dict.fromkeys(TO_SIZE, SIDE)
    for key, field in BY_NAME.items():
        if payload.get(key) is None:
            continue
        try:
            values[field.name] = clean(field, as_ours(key, field, payload[key]))
        except ValueError as error:
            problems.append(Problem(str(error), field.name))
    mode = payload.get("resize_mode") or 0
    if not any(is_same(mode, each) for each in (0, 1)):
        problems.append(Problem("must be 0 (by a factor) or 1 (to a size)", "resize_mode"))
    if problems:
        raise InvalidRequest(problems=problems)
    foreign = [key for key in payload if key not in BY_NAME and key not in READ_HERE]
    return values | (dict.fromkeys(TO_SIZE, 0) if is_same(mode, 0) else {}), foreign


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


def extras_jobs(
    door: Door, values: Mapping[str, Any], pictures: Sequence[tuple[str, str, Any]]
) -> list[dict[str, Any]]:
    """The values of a job for each picture. InvalidRequest when one of them cannot be read."""
    read = [_read(door, *picture) for picture in pictures]
    return [{**values, "process": EXTRAS, "init_image": upload, "source_text": text,
             "output_name": name, "output_folder": FOLDER if name else ""} for name, upload, text in read]


def _read(door: Door, place: str, name: str, data: Any) -> tuple[str, str, str]:
    """Name without ending, the upload's id, and the settings text inside it."""
    try:
        file = upload_decoding.from_base64(data)
        upload = door.upload(file, alpha=True).id
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


def results(door: Door, over: list[Job]) -> list[str]:
    """The files of all jobs in base64. Raises JobFailed for the first that failed."""
    for job in over:
        if job.state == "failed":
            raise JobFailed(problems=job.problems)
    files = [door.image_file(image.id) for job in over for image in job.images]
    return [base64.b64encode(file.read_bytes()).decode("ascii") for file in files]


def _html_info(job: Job, foreign: Sequence[str]) -> str:
    """What was done, as AUTOMATIC1111 shows it, and what of the payload meant nothing."""
    text = ", ".join(f"{key}: {value}" for key, value in infotext_values(job.request).items())
    lines = [text, f"Passed over: {', '.join(foreign)}" if foreign else ""]
    shown = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    return f"<div class='infotext'>{shown}</div>" if shown else ""
