"""ReActor's arguments in AUTOMATIC1111's JSON, as the face swap of a request.

    "alwayson_scripts": {"reactor": {"args": ["<base64>", true, "0", "0", "inswapper_128.onnx", "CodeFormer", 1, ...]}}
"""

from __future__ import annotations

from typing import Any

from backend import Door
from backend.errors import InvalidRequest, Problem, UserError
from backend.http.a1111.scripts import script_arguments
from backend.http.a1111.unsupported import Lacking
from backend.image import upload_validation
from backend.request.face_swap import GENDERS
from backend.request.loose_values import is_same, truth
from backend.request.rules import NO_RESTORER, RESTORERS

SCRIPT = "reactor"
# The places of arguments
PICTURE, ENABLED, SOURCE, TARGETS, RESTORER, VISIBILITY, UPSCALER, IN_SOURCE, IN_RESULT = 0, 1, 2, 3, 5, 6, 8, 11, 12
SOURCE_GENDER, GENDER, CODEFORMER_WEIGHT, MASKED, KIND_OF_SOURCE, SURE, MOST = 14, 15, 17, 21, 22, 28, 29
NONE = ("", "none")
SURE_ENOUGH = 0.5           # of a face; the detector's usual value, and ReActor's
LEFT_TO_RIGHT = "Left to right"             # ReActor counts faces so


def face_swap(scripts: Any, door: Door) -> tuple[dict[str, Any], list[Problem]]:
    """Field values of what is sent, its picture stored as an upload of the user; and what is wrong with it."""
    place, sent = script_arguments(scripts, SCRIPT)
    if sent is None:
        return {}, []
    if not isinstance(sent, list) or not sent:
        return {}, [Problem("must be a list of ReActor's arguments", place)]
    if truth(_at(sent, ENABLED, True)) is False:
        return {}, []
    if truth(_at(sent, IN_RESULT, True)) is False and not truth(_at(sent, IN_SOURCE, False)):
        return {}, []
    problems: list[Problem] = [Lacking(f"is not something that Easel has: {why}", f"{place}.{number}")
                               for number, why in _foreign(sent)]
    try:
        return _values(sent, place, door), problems
    except InvalidRequest as error:
        return {}, [*problems, *error.problems]


def _foreign(sent: list[Any]) -> list[tuple[int, str]]:
    """Arguments that ask for what is not here."""
    found = []
    if truth(_at(sent, IN_SOURCE, False)):
        found.append((IN_SOURCE, "the picture to start from is left as it is"))
    if str(_at(sent, UPSCALER, "None") or "").casefold() not in NONE:
        found.append((UPSCALER, "enlarge the finished picture in Extras"))
    if truth(_at(sent, MASKED, False)):
        found.append((MASKED, "the square that the network draws is blended in as it is"))
    if not is_same(_at(sent, SURE, SURE_ENOUGH), SURE_ENOUGH):
        found.append((SURE, f"faces are found from {SURE_ENOUGH} on"))
    if not is_same(_at(sent, MOST, 0), 0):
        found.append((MOST, "all faces of a picture are found"))
    if _at(sent, KIND_OF_SOURCE, 0) not in (0, "0"):
        found.append((KIND_OF_SOURCE, "the face comes from a picture"))
    if _restorer(sent) != NO_RESTORER and not any(is_same(_visibility(sent), whole) for whole in (0, 1)):
        found.append((VISIBILITY, "a restored face counts whole or not at all"))
    return found


def _values(sent: list[Any], place: str, door: Door) -> dict[str, Any]:
    """Raises InvalidRequest."""
    sources, targets = _numbers(_at(sent, SOURCE, "0")), _numbers(_at(sent, TARGETS, "0"))
    if len(sources) not in (1, len(targets)):
        raise InvalidRequest(f"has {len(sources)} faces for {len(targets)} that are replaced",
                             field=f"{place}.{SOURCE}")
    try:
        image = door.upload(upload_validation.from_base64(sent[PICTURE])).id
    except UserError as error:
        raise InvalidRequest(str(error), field=f"{place}.{PICTURE}") from error
    values: dict[str, Any] = {
        "face_swap": image, "face_swap_order": LEFT_TO_RIGHT,
        "face_swap_source": sources[0], "face_swap_sources": ",".join(sources) if len(sources) > 1 else "",
        "face_swap_targets": ",".join(targets),
        "face_swap_source_gender": _gender(_at(sent, SOURCE_GENDER, 0)),
        "face_swap_gender": _gender(_at(sent, GENDER, 0)),
    }
    restorer = _restorer(sent)
    if restorer == NO_RESTORER or is_same(_visibility(sent), 0):
        return values
    weight = _at(sent, CODEFORMER_WEIGHT, 0.5)
    return values | {"face_restoration": restorer, "face_restoration_weight": 0.5 if weight is None else weight}


def _numbers(sent: Any) -> list[str]:
    """As ReActor reads them: what is no number counts nothing, and where there is none the first face is meant."""
    return [part for each in str(sent).split(",") if (part := each.strip()).isdecimal()] or ["0"]


def _visibility(sent: list[Any]) -> Any:
    return _at(sent, VISIBILITY, 1) or 0


def _gender(sent: Any) -> str:
    return GENDERS[int(sent)] if str(sent) in ("0", "1", "2") else GENDERS[0]


def _restorer(sent: list[Any]) -> str:
    known = {name.casefold(): name for name in RESTORERS}
    return known.get(str(_at(sent, RESTORER, "") or "").casefold(), NO_RESTORER)


def _at(sent: list[Any], number: int, usual: Any) -> Any:
    """An argument; null stands for the usual."""
    return usual if number >= len(sent) or sent[number] is None else sent[number]
