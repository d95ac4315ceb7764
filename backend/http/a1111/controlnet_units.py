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
from backend.http.a1111.scripts import is_on, script_arguments
from backend.http.a1111.unsupported import NOT_HERE, Lacking
from backend.http.a1111.values import as_ours, is_missing
from backend.image import upload_decoding
from backend.request.guide_modules import INPAINT, MODULES, NO_MODULE, Module, module_of
from backend.request.guide_unit import CONTROL_LEADS, GUIDE_UNIT
from backend.request.loose_values import number as as_number
from backend.request.loose_values import truth

SCRIPT = "controlnet"
PICTURES = ("image", "input_image")
OTHER_NAMES = {"guidance_start": "start", "guidance_end": "end", "guidance": "end", "hr_option": "hires",
               "union_control_type": "union_type", "lowvram": "low_vram"}
GUESSED = ("guess_mode", "guessmode")           # of the first versions
ELSEWHERE = ("save_detected_map", "is_ui", "input_mode", "generated_image", "use_preview_as_input", "pulid_mode",
             "type_filter", "class_id", "hash", "output_dir", "batch_image_dir", "batch_mask_dir",
             "inpaint_crop_input_image")
"""What changes no picture, or says what the others say."""
WEIGHTS = "advanced_weighting"
REGION, MASKS = "effective_region_mask", ("mask", "mask_image")
USUAL = ("processor_res", "threshold_a", "threshold_b")        # where a number below 0 asks for the usual value
CUT = "inpaint_crop_input_image"
SIMPLE = (None, "", 0, "simple", "inputmode.simple")            # of `input_mode`: the unit's picture, no folder's


def guides(scripts: Any, door: Door, *, only_masked: bool = False) -> tuple[dict[str, Any], list[Problem]]:
    """The units that are sent, their pictures stored as uploads of the user; and what is wrong with them.

    `only_masked`: just the part of a picture that a mask marks is drawn.
    """
    place, sent = _sent(scripts)
    if sent is None:
        return {}, []
    units, problems = [], list[Problem]()
    for number, unit in enumerate(sent):
        problems += _lacking(unit, f"{place}.{number}", door, only_masked)
        try:
            units.append(_unit(unit, f"{place}.{number}", door))
        except InvalidRequest as error:
            problems += error.problems
    return {"guides": units}, problems


def notes(scripts: Any) -> list[str]:
    """What units ask for that is not done, in sentences."""
    place, sent = _sent(scripts)
    acting = [(number, unit) for number, unit in enumerate(sent or []) if _acts(unit)]
    return [f"{place}.{number}: {why}" for number, unit in acting for why in _not_done(unit)]


def _not_done(unit: Mapping[str, Any]) -> Iterator[str]:
    picture = next((unit[key] for key in PICTURES if unit.get(key)), None)
    if not is_inpainting(unit.get("module")) and _marks(_mask(unit, picture, inpaints=True)):
        yield f"the mask was not used: it is for modules that inpaint, and {REGION} says where a unit acts"
    module = _module(unit.get("module"))
    for name, slider in (("threshold_a", module.a), ("threshold_b", module.b)) if module else ():
        value = as_number(unit.get(name))
        if slider and value is not None and value >= 0 and not slider.reaches(value):
            yield (f"{name} {value:g} was not used, but {slider.usual:g}: {module.name} takes {slider.minimum:g} to "
                   f"{slider.maximum:g}")


def _marks(mask: Any) -> bool:
    """Whether a mask marks a part of its picture; pages send one that marks nothing, too."""
    if not mask:
        return False
    try:
        darkest, lightest = upload_decoding.mask(upload_decoding.from_base64(mask)).getextrema()
    except UserError:
        return True
    return darkest != lightest


def detected_maps(door: Door, job: Job, payload: Mapping[str, Any]) -> list[str]:
    """What the models of a finished job's units were shown, in base64, as AUTOMATIC1111 answers it behind the pictures.

    None of units that ask for none, and none that cannot be made again.
    """
    _, sent = _sent(payload.get("alwayson_scripts"))
    found = []
    for unit, theirs in zip(job.request.guides, sent or [], strict=False):
        wanted = not isinstance(theirs, Mapping) or truth(theirs.get("save_detected_map", True)) is not False
        if unit.enabled and wanted and unit.module != NO_MODULE and MODULES[unit.module].kind == "hint":
            with contextlib.suppress(EaselError):
                made = door.guides.shown(unit, job.request)
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
    unit = _guessed(sent) | dict(unit_values(sent)) | {"enabled": sent.get("enabled") if _is_unclear(sent) else True}
    if not is_on(sent, "enabled"):
        return unit | {"enabled": False}
    if sent.get(WEIGHTS) and _shows_prompt(sent, door):
        unit |= _weights(sent[WEIGHTS], place)
    picture = next((sent[key] for key in PICTURES if sent.get(key)), None)
    if isinstance(picture, list) and len(picture) > 2 and not _is_several(picture):
        raise InvalidRequest("must be a picture, or a list of a picture and its mask; of several each is an object",
                             field=f"{place}.image")
    several = picture if _is_several(picture) else [picture]
    first, *more = [shown for each in several if (shown := _part(each, "image"))] or [None]
    if first:
        unit["image"] = _stored(first, f"{place}.image", door)
    if more and _shows_one(sent.get("module")):
        raise InvalidRequest("must be one picture for this preprocessor", field=f"{place}.image")
    if more:
        unit["more_images"] = [_stored(each, f"{place}.image", door) for each in more]
    marked = _mask(sent, picture, is_inpainting(unit.get("module")))
    return unit | ({"mask": _stored(marked, f"{place}.{REGION}", door, mask=True)} if marked else {})


def _lacking(unit: Any, place: str, door: Door, only_masked: bool) -> Iterator[Problem]:
    if not _acts(unit):
        return
    known = (*GUIDE_UNIT, *OTHER_NAMES, *GUESSED, *ELSEWHERE, *PICTURES, *MASKS, WEIGHTS, REGION)
    yield from [Lacking(NOT_HERE, f"{place}.{key}") for key, value in unit.items() if key not in known and value]
    mode = unit.get("input_mode")
    if (mode.casefold() if isinstance(mode, str) else mode) not in SIMPLE:
        yield Lacking("can only be simple here: a unit has its pictures in the request", f"{place}.input_mode")
    if only_masked and not is_on(unit, CUT):
        yield Lacking("can only be true here where only the masked part is drawn", f"{place}.{CUT}")
    if unit.get(WEIGHTS) and not _shows_prompt(unit, door):
        yield Lacking("acts with picture prompts alone here", f"{place}.{WEIGHTS}")


def _acts(unit: Any) -> bool:
    return isinstance(unit, Mapping) and is_on(unit, "enabled")


def _is_unclear(unit: Mapping[str, Any]) -> bool:
    """Whether its switch is neither on nor off, which is refused."""
    return unit.get("enabled") is not None and truth(unit["enabled"]) is None


def _shows_prompt(unit: Mapping[str, Any], door: Door) -> bool:
    """Whether a unit's picture is a prompt; of `none` the model decides."""
    module = _module(unit.get("module"))
    if module and module.name == NO_MODULE:
        return door.guides.is_prompt(str(unit.get("model")))
    return not module or module.kind == "picture_prompt"


def _guessed(sent: Mapping[str, Any]) -> dict[str, str]:
    """What was called guess mode counts the hint alone, as one of the control modes does now."""
    return {"control_mode": CONTROL_LEADS} if any(truth(sent.get(key)) for key in GUESSED) else {}


def _weights(sent: Any, place: str) -> dict[str, str]:
    """Numbers for blocks, as text. Raises InvalidRequest."""
    found = list(map(as_number, sent)) if isinstance(sent, list) else [None]
    if None in found:
        raise InvalidRequest("must be a list of numbers, one for each block", field=f"{place}.{WEIGHTS}")
    return {"block_weights": ",".join(f"{each:g}" for each in found)}


def _module(name: Any) -> Module | None:
    try:
        return module_of(str(name or NO_MODULE))
    except KeyError:
        return None


def is_inpainting(name: Any) -> bool:
    """Whether a preprocessor of this name leaves out what a mask marks."""
    module = _module(name)
    return module is not None and module.name == INPAINT


def _shows_one(name: Any) -> bool:
    """Whether a preprocessor makes something of one picture only. Of `none` the model decides."""
    module = _module(name)
    return module is not None and module.name != NO_MODULE and module.kind in ("hint", "reference")


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


def unit_values(sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a unit by the names of its fields, without its pictures and its switch."""
    for key, value in sent.items():
        name = OTHER_NAMES.get(key, key)
        field = GUIDE_UNIT.get(name)
        if field is None or name in ("enabled", "mask", *PICTURES) or is_missing(field, value):
            continue
        found = as_number(value)
        if name in USUAL and found is not None and found < 0:
            continue
        numbered = field.kind == "choice" and found is not None and found.is_integer()
        yield name, str(int(value)) if numbered and not isinstance(value, str) else as_ours(key, field, value)


def _stored(picture: Any, place: str, door: Door, mask: bool = False) -> str:
    """The upload's id. Raises InvalidRequest naming the `place`."""
    try:
        return door.upload(upload_decoding.from_base64(picture), mask=mask).id
    except UserError as error:
        raise InvalidRequest(str(error), field=place) from error
