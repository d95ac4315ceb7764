"""Units of sd-webui-controlnet in AUTOMATIC1111's JSON, as the guides of a request.

    "alwayson_scripts": {"controlnet": {"args": [{"image": "<base64>", "module": "canny", "model": "..."}]}}

A picture may be text, or an object or a list of a picture and a mask; modes may be words or numbers.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from backend import Door, Job
from backend.errors import EaselError, InvalidRequest, Problem, UserError
from backend.http.a1111.scripts import script_arguments
from backend.http.a1111.unsupported import NOT_HERE, Lacking
from backend.http.a1111.values import as_ours, is_missing
from backend.image import upload_decoding
from backend.request.guide_modules import INPAINT, MODULES, NO_MODULE, module_of
from backend.request.guide_unit import CONTROL_LEADS, GUIDE_UNIT
from backend.request.loose_values import truth
from backend.request.output_size import Margins

SCRIPT = "controlnet"
PICTURES = ("image", "input_image")
OTHER_NAMES = {"guidance_start": "start", "guidance_end": "end", "guidance": "end", "hr_option": "hires",
               "union_control_type": "union_type", "lowvram": "low_vram"}
GUESSED = ("guess_mode", "guessmode")           # of the first versions
ELSEWHERE = ("save_detected_map", "is_ui", "input_mode", "generated_image", "use_preview_as_input", "pulid_mode",
             "type_filter", "class_id", "hash", "output_dir", "batch_image_dir", "batch_mask_dir")
"""What changes no picture, or says what the others say."""
WEIGHTS = "advanced_weighting"
REGION, MASKS = "effective_region_mask", ("mask", "mask_image")
USUAL = ("processor_res", "threshold_a", "threshold_b")        # where a number below 0 asks for the usual value


def guides(scripts: Any, door: Door) -> tuple[dict[str, Any], list[Problem]]:
    """The units that are sent, their pictures stored as uploads of the user; and what is wrong with them."""
    place, sent = _sent(scripts)
    if sent is None:
        return {}, []
    units, problems = [], list[Problem]()
    for number, unit in enumerate(sent):
        problems += _lacking(unit, f"{place}.{number}")
        try:
            units.append(_unit(unit, f"{place}.{number}", door))
        except InvalidRequest as error:
            problems += error.problems
    return {"guides": units}, problems


def detected_maps(door: Door, job: Job, payload: Mapping[str, Any]) -> list[str]:
    """What the models of a finished job's units were shown, in base64, as AUTOMATIC1111 answers it behind the pictures.

    None of units that ask for none, and none that cannot be made again.
    """
    _, sent = _sent(payload.get("alwayson_scripts"))
    found = []
    for unit, theirs in zip(job.request.guides, sent or [], strict=False):
        wanted = not isinstance(theirs, Mapping) or truth(theirs.get("save_detected_map", True)) is not False
        if unit.enabled and wanted and unit.module != NO_MODULE and MODULES[unit.module].kind == "hint":
            request, image = job.request, unit.image or job.request.init_image
            margins = Margins.of(request) if image == request.init_image else None
            with contextlib.suppress(EaselError):
                made = door.guides.preview({**unit, "image": image}, (request.height, request.width), margins=margins)
                found.append(base64.b64encode(door.uploaded(made.id).read_bytes()).decode("ascii"))
    return found


def _sent(scripts: Any) -> tuple[str, list[Any] | None]:
    """Where the script's units stand, and what they are; None where it is not asked for."""
    place, sent = script_arguments(scripts, SCRIPT)
    if sent is None:
        return place, None
    if isinstance(sent, Mapping):
        sent = [sent] if any(key in GUIDE_UNIT or key in PICTURES for key in sent) else list(sent.values())
    return place, [each for each in sent if not isinstance(each, bool)]


def _unit(sent: Any, place: str, door: Door) -> dict[str, Any]:
    """Raises InvalidRequest."""
    if not sent:
        return {}
    if not isinstance(sent, Mapping):
        raise InvalidRequest("must be an object", field=place)
    on = truth(sent.get("enabled", True)) is not False
    unit = _guessed(sent) | dict(_values(sent)) | _weights(sent.get(WEIGHTS), place) | {"enabled": on}
    if not unit["enabled"]:
        return unit
    picture = next((sent[key] for key in PICTURES if sent.get(key)), None)
    first, *more = picture if _is_several(picture) else [picture]
    if first:
        unit["image"] = _stored(_part(first, "image"), f"{place}.image", door)
    if more and _shows_one(sent.get("module")):
        raise InvalidRequest("must be one picture for this preprocessor", field=f"{place}.image")
    if more:
        unit["more_images"] = [_stored(_part(each, "image"), f"{place}.image", door) for each in more]
    marked = _mask(sent, picture, _is_inpainting(unit.get("module")))
    return unit | ({"mask": _stored(marked, f"{place}.{REGION}", door, mask=True)} if marked else {})


def _lacking(unit: Any, place: str) -> list[Problem]:
    if not isinstance(unit, Mapping) or truth(unit.get("enabled", True)) is False:
        return []
    known = (*GUIDE_UNIT, *OTHER_NAMES, *GUESSED, *ELSEWHERE, *PICTURES, *MASKS, WEIGHTS, REGION)
    return [Lacking(NOT_HERE, f"{place}.{key}") for key, value in unit.items() if key not in known and value]


def _guessed(sent: Mapping[str, Any]) -> dict[str, str]:
    """What was called guess mode counts the hint alone, as one of the control modes does now."""
    return {"control_mode": CONTROL_LEADS} if any(truth(sent.get(key)) for key in GUESSED) else {}


def _weights(sent: Any, place: str) -> dict[str, str]:
    """Numbers for blocks, as text. Raises InvalidRequest."""
    if not sent:
        return {}
    if not isinstance(sent, list) or not all(isinstance(each, int | float) for each in sent):
        raise InvalidRequest("must be a list of numbers, one for each block", field=f"{place}.{WEIGHTS}")
    return {"block_weights": ",".join(f"{each:g}" for each in sent)}


def _is_inpainting(module: Any) -> bool:
    try:
        return isinstance(module, str) and module_of(module).name == INPAINT
    except KeyError:
        return False


def _shows_one(module: Any) -> bool:
    """Whether a preprocessor makes something of one picture only. Of `none` the model decides."""
    try:
        found = module_of(str(module or NO_MODULE))
    except KeyError:
        return False
    return found.name != NO_MODULE and found.kind in ("hint", "reference")


def _mask(sent: Mapping[str, Any], picture: Any, inpaints: bool) -> Any:
    """What marks the region, or for inpainting what is missing in the picture."""
    if not inpaints:
        return sent.get(REGION)
    return next((sent[key] for key in MASKS if sent.get(key)), None) or _part(picture, "mask")


def _is_several(picture: Any) -> bool:
    """Several pictures of one unit, each an object; a list of two texts is a picture with its mask."""
    return isinstance(picture, list) and all(isinstance(each, Mapping) for each in picture) and bool(picture)


def _part(picture: Any, name: str) -> Any:
    """The picture or the mask of an object, or of a list of both; text is the picture."""
    if isinstance(picture, list):
        inner = picture[0] if picture else None
        if isinstance(inner, Mapping):
            return inner.get(name)
        return picture[1 if name == "mask" else 0] if len(picture) > (name == "mask") else None
    if isinstance(picture, Mapping):
        picture = picture.get(name)
        return picture[0] if isinstance(picture, list) and picture else picture
    return picture if name == "image" else None


def _values(sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in sent.items():
        name = OTHER_NAMES.get(key, key)
        field = GUIDE_UNIT.get(name)
        if field is None or name in ("enabled", "mask", *PICTURES) or is_missing(field, value):
            continue
        if name in USUAL and isinstance(value, int | float) and value < 0:
            continue
        numbered = field.kind == "choice" and isinstance(value, int) and not isinstance(value, bool)
        yield name, str(value) if numbered else as_ours(key, field, value)


def _stored(picture: Any, place: str, door: Door, mask: bool = False) -> str:
    """The upload's id. Raises InvalidRequest naming the `place`."""
    try:
        return door.upload(upload_decoding.from_base64(picture), mask=mask).id
    except UserError as error:
        raise InvalidRequest(str(error), field=place) from error
