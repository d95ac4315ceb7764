"""ReActor's arguments in AUTOMATIC1111's JSON, as the face swap of a request.

    "alwayson_scripts": {"reactor": {"args": ["<base64>", true, "0", "0", "inswapper_128.onnx", "CodeFormer", 1, ...]}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend import Door
from backend.errors import InvalidRequest, Problem, UserError
from backend.http.a1111.scripts import script_arguments
from backend.http.a1111.unsupported import Lacking
from backend.image import upload_decoding
from backend.request.choices import NO_RESTORER, NO_UPSCALER, RESTORERS
from backend.request.face_swap import BOTH, EACH, GENDERS, MOST_PICTURES, ONE, RESULT, START
from backend.request.loose_values import is_same, truth

SCRIPT = "reactor"
# The places of arguments
(PICTURE, ENABLED, SOURCE, TARGETS, NETWORK, RESTORER, VISIBILITY, RESTORE_FIRST, UPSCALER, SCALE, UPSCALED_VISIBILITY,
 IN_SOURCE, IN_RESULT, LOGGING, SOURCE_GENDER, GENDER, SAVE_ORIGINAL, CODEFORMER_WEIGHT, SOURCE_CHECK, TARGET_CHECK,
 DEVICE, MASKED, KIND_OF_SOURCE, FACE_MODEL, FOLDER, PICTURES, RANDOM, UPSCALE_ALWAYS, SURE, MOST, TAB) = range(31)
FROM_PICTURE, FROM_MODEL, FROM_FOLDER = "0", "1", "2"
SEVERAL = "tab_multiple"
NONE = ("", "none")
SWAPPER = "inswapper_128"
SURE_ENOUGH = 0.5           # of a face; the detector's usual value, and ReActor's
LEFT_TO_RIGHT = "Left to right"             # ReActor counts faces so
ON_CPU = "reactor: faces are found and replaced on the CPU; the device that was asked for changes no pixel"
QUIET = "reactor: the console log level was not used; Easel's log is the operator's"


def face_swap(scripts: Any, door: Door, *, img2img: bool = False) -> tuple[dict[str, Any], list[Problem]]:
    """Field values of what is sent, its pictures stored as uploads of the user; and what is wrong with it."""
    place, sent = script_arguments(scripts, SCRIPT, _is_off)
    if not sent:
        return {}, []
    if not isinstance(sent, list):
        return {}, [Problem("must be a list of ReActor's arguments", place)]
    where = _place(sent, img2img)
    if not where:
        return {}, []
    problems: list[Problem] = [Lacking(why, f"{place}.{number}") for number, why in foreign(sent)]
    try:
        return swap_values(sent, place, door) | {"face_swap_place": where}, problems
    except InvalidRequest as error:
        return {}, [*problems, *error.problems]


def notes(scripts: Any) -> list[str]:
    """What ReActor's arguments ask for that changes no picture, and is not done."""
    _, sent = script_arguments(scripts, SCRIPT, _is_off)
    return argument_notes(sent) if sent and isinstance(sent, list) else []


def _is_off(script: Any) -> bool:
    """By the second argument: the first is a picture, which a face model or a folder stands for where it is null."""
    sent = script.get("args") if isinstance(script, Mapping) else script
    return not sent or isinstance(sent, list) and (not any(sent) or truth(_at(sent, ENABLED, True)) is False)


def argument_notes(sent: list[Any]) -> list[str]:
    """The same of the arguments themselves."""
    cpu = str(_at(sent, DEVICE, "CPU")).strip().casefold() in ("", "cpu")
    quiet = str(_at(sent, LOGGING, 1)) == "1"
    return [*([] if cpu else [ON_CPU]), *([] if quiet else [QUIET])]


def _place(sent: list[Any], img2img: bool) -> str:
    """Which picture gets other faces; "" for none."""
    start = img2img and truth(_at(sent, IN_SOURCE, False)) is True
    result = truth(_at(sent, IN_RESULT, True)) is not False
    return BOTH if start and result else START if start else RESULT if result else ""


def foreign(sent: list[Any]) -> list[tuple[int, str]]:
    """The places of arguments that ask for what is not here, and why."""
    found = []
    network = str(_at(sent, NETWORK, SWAPPER)).replace("\\", "/").rpartition("/")[2].casefold()
    if network.removesuffix(".onnx") not in ("", "none", SWAPPER):
        found.append((NETWORK, f"can only be {SWAPPER}.onnx here, which is what puts faces in"))
    restorer = str(_at(sent, RESTORER, "")).strip()
    if restorer.casefold() not in NONE and _restorer(sent) == NO_RESTORER:
        found.append((RESTORER, f"can only be {', '.join(RESTORERS)} or None here"))
    unknown = [number for number in range(TAB + 1, len(sent)) if sent[number] not in (None, "", False, 0)]
    found += [(number, "is not an argument of ReActor that Easel knows") for number in unknown]
    return found


def swap_values(sent: list[Any], place: str, door: Door) -> dict[str, Any]:
    """Field values of the arguments. InvalidRequest names `place` and the number of what is wrong: "args.5"."""
    sources, targets = _numbers(_at(sent, SOURCE, "0")), _numbers(_at(sent, TARGETS, "0"))
    if len(sources) not in (1, len(targets)):
        raise InvalidRequest(f"has {len(sources)} faces for {len(targets)} that are replaced",
                             field=f"{place}.{SOURCE}")
    values = _source(sent, place, door) | {
        "face_swap_order": LEFT_TO_RIGHT, "face_swap_count_all": True,
        "face_swap_source": sources[0], "face_swap_sources": ",".join(sources) if len(sources) > 1 else "",
        "face_swap_targets": ",".join(targets),
        "face_swap_source_gender": _gender(_at(sent, SOURCE_GENDER, 0)),
        "face_swap_gender": _gender(_at(sent, GENDER, 0)),
        "face_swap_threshold": _number(sent, SURE, SURE_ENOUGH, 0.1, 1, place),
        "face_swap_most": int(_number(sent, MOST, 0, 0, 20, place)),
        "face_swap_mask": truth(_at(sent, MASKED, False)) is True,
        "face_swap_keep_original": truth(_at(sent, SAVE_ORIGINAL, False)) is True,
    }
    return values | _enlarged(sent, place) | _restored(sent, place)


def _source(sent: list[Any], place: str, door: Door) -> dict[str, Any]:
    """Whose face is put in. Raises InvalidRequest."""
    kind = str(_at(sent, KIND_OF_SOURCE, 0)).strip()
    if kind == FROM_MODEL:
        name = str(_at(sent, FACE_MODEL, "")).strip()
        if name.casefold() in NONE:
            raise InvalidRequest("is missing: it names the face model that is put in", field=f"{place}.{FACE_MODEL}")
        return {"face_swap_model": name}
    choice = {"face_swap_choice": ONE if truth(_at(sent, RANDOM, False)) is True else EACH}
    if kind == FROM_FOLDER:
        return {"face_swap_pictures": _named(lambda: door.faces.in_folder(str(_at(sent, FOLDER, ""))), place, FOLDER),
                **choice}
    if kind != FROM_PICTURE:
        raise InvalidRequest("must be 0 for pictures, 1 for a face model, or 2 for a folder",
                             field=f"{place}.{KIND_OF_SOURCE}")
    given = _at(sent, PICTURES, None)
    if given and str(_at(sent, TAB, "")) == SEVERAL:
        if not isinstance(given, list) or len(given) > MOST_PICTURES:
            raise InvalidRequest(f"must be a list of at most {MOST_PICTURES} pictures", field=f"{place}.{PICTURES}")
        ids = [_named(lambda each=each: _uploaded(each, door), place, PICTURES) for each in given]
        return {"face_swap_pictures": ids, **choice}
    if not sent[PICTURE]:
        raise InvalidRequest("is missing: it shows the face that is put in", field=f"{place}.{PICTURE}")
    return {"face_swap": _named(lambda: _uploaded(sent[PICTURE], door), place, PICTURE)}


def _enlarged(sent: list[Any], place: str) -> dict[str, Any]:
    name = str(_at(sent, UPSCALER, NO_UPSCALER)).strip()
    if name.casefold() in NONE:
        return {}
    scale = _number(sent, SCALE, 1, 1, 8, place)
    visibility = _number(sent, UPSCALED_VISIBILITY, 1, 0, 1, place)
    return {
        "face_swap_upscaler": name, "face_swap_upscale_by": scale,
        "face_swap_upscaler_visibility": visibility if scale == 1 else 1,       # ReActor's counts at that size alone
        "face_swap_upscale_first": truth(_at(sent, RESTORE_FIRST, True)) is False,
        "face_swap_upscale_always": truth(_at(sent, UPSCALE_ALWAYS, False)) is True,
    }


def _restored(sent: list[Any], place: str) -> dict[str, Any]:
    restorer, visibility = _restorer(sent), _number(sent, VISIBILITY, 1, 0, 1, place)
    if restorer == NO_RESTORER or visibility == 0:
        return {}
    return {"face_restoration": restorer, "face_restoration_visibility": visibility,
            "face_restoration_weight": _number(sent, CODEFORMER_WEIGHT, 0.5, 0, 1, place)}


def _uploaded(sent: Any, door: Door) -> str:
    return door.upload(upload_decoding.from_base64(sent)).id


def _named(found: Callable[[], Any], place: str, number: int) -> Any:
    """What is found; what is wrong with it is said of the argument."""
    try:
        return found()
    except UserError as error:
        raise InvalidRequest(str(error), field=f"{place}.{number}") from error


def _number(sent: list[Any], number: int, usual: float, low: float, high: float, place: str) -> float:
    """Raises InvalidRequest."""
    try:
        value = float(_at(sent, number, usual))
    except (TypeError, ValueError):
        value = float("nan")
    if not low <= value <= high:
        raise InvalidRequest(f"must be a number between {low:g} and {high:g}", field=f"{place}.{number}")
    return value


def _numbers(sent: Any) -> list[str]:
    """As ReActor reads them: what is no number counts nothing, and where there is none the first face is meant."""
    return [part for each in str(sent).split(",") if (part := each.strip()).isdecimal()] or ["0"]


def _gender(sent: Any) -> str:
    known = {"no": 0, "female only": 1, "male only": 2}
    number = known.get(str(sent).strip().casefold(), sent)
    return GENDERS[int(number)] if str(number) in ("0", "1", "2") else GENDERS[0]


def _restorer(sent: list[Any]) -> str:
    wanted = _at(sent, RESTORER, "")
    return next((name for name in RESTORERS if is_same(wanted, name)), NO_RESTORER)


def _at(sent: list[Any], number: int, usual: Any) -> Any:
    """An argument; null stands for the usual."""
    return usual if number >= len(sent) or sent[number] is None else sent[number]
