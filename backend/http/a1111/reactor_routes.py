"""sd-webui-reactor's own routes: a face put into a picture that is sent, and what there is for it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from backend import Door, Job
from backend.catalog.face_networks import SWAP
from backend.catalog.model_file import FACE_MODEL, FACE_NETWORK
from backend.catalog.request_files import VISIBILITY
from backend.errors import InvalidRequest, Problem
from backend.http.a1111 import face_swap
from backend.http.a1111.extras import extras_jobs, results
from backend.http.a1111.routes import queued
from backend.http.a1111.unsupported import Lacking, passed_over
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, EntireBackend, FrontDoor, OwnCalls, Watch
from backend.http.errors import JobFailed
from backend.http.wait_for_jobs import CLIENT_GONE
from backend.request.choices import NO_UPSCALER, PIXEL_UPSCALERS
from backend.request.face_swap import ONE
from backend.request.loose_values import truth

# ReActor's names here -> the places of the same arguments in its script
ARGUMENTS: Mapping[str, int] = {
    "source_image": face_swap.PICTURE, "source_faces_index": face_swap.SOURCE, "face_index": face_swap.TARGETS,
    "model": face_swap.NETWORK, "face_restorer": face_swap.RESTORER, "restorer_visibility": face_swap.VISIBILITY,
    "restore_first": face_swap.RESTORE_FIRST, "upscaler": face_swap.UPSCALER, "scale": face_swap.SCALE,
    "upscale_visibility": face_swap.UPSCALED_VISIBILITY, "gender_source": face_swap.SOURCE_GENDER,
    "gender_target": face_swap.GENDER, "codeformer_weight": face_swap.CODEFORMER_WEIGHT, "device": face_swap.DEVICE,
    "mask_face": face_swap.MASKED, "select_source": face_swap.KIND_OF_SOURCE, "face_model": face_swap.FACE_MODEL,
    "source_folder": face_swap.FOLDER, "random_image": face_swap.RANDOM, "upscale_force": face_swap.UPSCALE_ALWAYS,
    "det_thresh": face_swap.SURE, "det_maxnum": face_swap.MOST,
}
PLACES = {number: name for name, number in ARGUMENTS.items()}
TARGET = "target_image"
FIELDS = {"init_image": TARGET, "face_swap": "source_image", "face_swap_pictures": "source_folder",
          "face_swap_model": "face_model", "face_swap_upscaler": "upscaler", "face_swap_upscale_by": "scale",
          "face_swap_sources": "source_faces_index", "face_swap_source": "source_faces_index",
          "face_swap_targets": "face_index", **dict.fromkeys(VISIBILITY.values(), "face_restorer")}
NO_FILE = "reactor: the result is kept in Easel's history; result_file_path names a file of the server and was not used"

router = APIRouter(prefix="/reactor")


@router.post("/image")
async def image(
    request: Request, door: FrontDoor, changes: Watch, options: ClientOptions, calls: OwnCalls, payload: dict[str, Any]
) -> Any:
    """The target picture with its faces replaced, in base64; of several source pictures all results as `images`.

    Easel's history keeps it. `notes` tell what was not done of what was asked for.
    """
    with calls.on_its_way(payload.get("force_task_id")) as call:
        requests, notes = await run_decoding(_requests, door, payload, options.ignore)
        over = await queued(request, door, changes, call, lambda: _submitted(door, requests))
        images = await to_thread.run_sync(_answered, door, over or [])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    notes += [note for job in over for note in job.notes]
    return ({"image": images[0] if images else None} | ({"images": images} if len(images) > 1 else {})
            | ({"notes": list(dict.fromkeys(notes))} if notes else {}))


@router.get("/models")
def models(backend: EntireBackend) -> dict[str, list[str]]:
    """The networks that put faces in."""
    swappers = [file for file in backend.usable_files(FACE_NETWORK) if file.facts["does"] == SWAP]
    return {"models": [f"{file.key}.onnx" for file in swappers]}


@router.get("/upscalers")
def upscalers(backend: EntireBackend) -> dict[str, list[str]]:
    """What enlarges a picture after the swap."""
    return {"upscalers": [NO_UPSCALER, *PIXEL_UPSCALERS, *(file.key for file in backend.upscalers())]}


@router.get("/facemodels")
def facemodels(backend: EntireBackend) -> dict[str, list[str]]:
    """The face models that ReActor made."""
    return {"facemodels": [file.key for file in backend.usable_files(FACE_MODEL)]}


def _requests(door: Door, payload: Mapping[str, Any], ignore: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The values of the job, and what is told of the payload. InvalidRequest names what is wrong in ReActor's words."""
    sent = _arguments(payload)
    lacking = passed_over([Lacking(why, PLACES[number]) for number, why in face_swap.foreign(sent)], ignore)
    try:
        values = face_swap.swap_values(sent, "", door)
    except InvalidRequest as error:
        raise InvalidRequest(problems=_renamed(error.problems, {f".{number}": name for number, name in PLACES.items()})
                             ) from error
    if values.get("face_swap_choice") == ONE and (pictures := values.pop("face_swap_pictures", ())):
        values["face_swap"] = random.choice(pictures)
    requests = extras_jobs(door, _of_extras(values), [(TARGET, "", payload.get(TARGET))])
    path = str(payload.get("result_file_path") or "") if truth(payload.get("save_to_file")) is True else ""
    told = [f"reactor: {name} was passed over" for name in lacking]
    return requests, [*face_swap.argument_notes(sent), *told, *([NO_FILE] if path else [])]


def _arguments(payload: Mapping[str, Any]) -> list[Any]:
    """ReActor's script's arguments."""
    sent: list[Any] = [None] * (max(ARGUMENTS.values()) + 1)
    for name, number in ARGUMENTS.items():
        value = payload.get(name)
        sent[number] = ",".join(map(str, value)) if isinstance(value, list) else value
    return sent


def _of_extras(values: Mapping[str, Any]) -> dict[str, Any]:
    """Restored faces as Extras has them."""
    restorer = values.get("face_restoration")
    kept = {name: value for name, value in values.items() if not name.startswith("face_restoration")}
    if restorer is None:
        return kept
    return kept | {VISIBILITY[restorer]: values["face_restoration_visibility"],
                   "codeformer_weight": values["face_restoration_weight"]}


def _submitted(door: Door, requests: list[dict[str, Any]]) -> list[Job]:
    try:
        return door.submit_all(requests)
    except InvalidRequest as error:
        raise InvalidRequest(problems=_renamed(error.problems, FIELDS)) from error


def _answered(door: Door, over: list[Job]) -> list[str]:
    try:
        return results(door, over)
    except JobFailed as error:
        raise JobFailed(problems=_renamed(error.problems, FIELDS)) from error


def _renamed(problems: Sequence[Problem], names: Mapping[str, str]) -> list[Problem]:
    """Problems in ReActor's words, as far as it has them."""
    return [Problem(problem.message, names.get(problem.field, problem.field)) for problem in problems]
