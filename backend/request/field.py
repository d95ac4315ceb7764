"""One row of the field table, and how an untrusted value becomes one that the row allows.

Neutral: knows no toolkit and no protocol. Read by both processes; imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backend.request.record import Record
from backend.table import Table

Kind = Literal["text", "texts", "int", "float", "bool", "choice", "seed", "checkpoint", "second_checkpoint", "vae",
               "upscaler", "picture", "pictures", "guide_model", "object_detector", "face_model", "records"]
Cost = Literal["step", "image", "checkpoint"]
Group = Literal[
    "prompt", "styles", "sampling", "size", "batch", "guidance", "seed", "seed_extra", "advanced", "files",
    "preview", "img2img", "img2img_extra", "inpaint", "outpaint", "loopback", "sd_upscale", "hires", "refiner",
    "extras", "guides", "face_swap", "detailer", "extensions", "extension_settings", "hidden",
]

MAX_PROMPT = 100_000          # characters; far above any prompt, below what could stall the parser
MAX_TEXTS = 10_000            # entries of a list
PICTURE_ID = re.compile("[0-9a-f]{64}")
MOST_SENT = 100         # records of one field, of which `Field.maximum` may be on
_WHOLE = re.compile(r"[-+]?[0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the field table. Neutral: knows no toolkit, no protocol."""

    name: str
    label: str
    kind: Kind
    default: Any
    group: Group
    section: str = ""                     # of the group "extensions": the title of the fold that it stands in
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None             # slider step of the page; also "must be a multiple of" for sizes
    slider_minimum: float | None = None   # the page's slider starts here, typed numbers may go down to `minimum`
    slider_maximum: float | None = None   # the page's slider ends here, typed numbers may go to `maximum`
    choices: Sequence[str] = ()
    record: Table[Field] | None = None    # of kind "records": the fields of one
    switch: str = ""                      # of kind "records": the field without which a record counts for nothing
    listed: bool = False                  # of kind "records": a page holds all of them as one JSON text
    flat: bool = False                    # of kind "records": a picture's text has a key for each value
    infotext: str = ""                    # key in the saved picture's text; "" = does not change the picture
    infotext_always: bool = False         # written even at its default
    infotext_flag: str = ""               # of a flat record: a key before the value; saying False it takes it back
    api: str = ""                         # the name in AUTOMATIC1111's JSON; "" = same as `name`
    api_index: bool = False               # AUTOMATIC1111's JSON gives a choice by its number, or by yes and no
    override: str = ""                    # the name in AUTOMATIC1111's options / override_settings
    needs: tuple[str, ...] = ()           # fields of which one must be set, or this one changes nothing
    acts: Callable[[Any], bool] | None = None   # of a request, whether this one has a hold on it; None = always
    xyz: str = ""                         # label of the XYZ axis; "" = no axis
    xyz_cost: Cost = "step"
    resolve: Callable[[str], str] | None = None  # turns an alias of a choice into the choice
    internal: bool = False                # set by Easel itself: neither on the page nor in AUTOMATIC1111's JSON

    @property
    def api_name(self) -> str:
        return self.api or self.name

    @property
    def places(self) -> int | None:
        """How many entries a list may have, records that are off among them; None for any number."""
        return MOST_SENT if self.switch else None if self.maximum is None else int(self.maximum)


def param(default: Any, label: str, kind: Kind, group: Group, **more: Any) -> Any:
    """A field of `Request` with its row of the table (see `Field` for the keywords)."""
    return dataclasses.field(default=default, metadata={"label": label, "kind": kind, "group": group, **more})


def clean(field: Field, value: Any) -> Any:
    """The value as the field's kind has it. Raises ValueError: the rest of a sentence that begins with its label."""
    if field.default is None and (value is None or value == "" and field.kind in ("int", "float")):
        return None
    if field.kind in ("text", "checkpoint"):
        return _text(value)
    if field.kind == "texts":
        return _texts(value)
    if field.kind in ("upscaler", "second_checkpoint", "vae", "guide_model", "object_detector", "face_model"):
        return _file(field, value)
    if field.kind == "choice":
        return _choice(field, value)
    if field.kind == "bool":
        return _boolean(value)
    if field.kind == "picture":
        return _picture(value)
    if field.kind == "pictures":
        return _pictures(field, value)
    if field.kind == "records":
        return _records(field, value)
    return _number(field, value)


class WrongRecord(ValueError):
    """A value of a record is wrong; `within` says which: "[0].weight"."""

    def __init__(self, message: str, within: str) -> None:
        super().__init__(message)
        self.within = within


def _records(field: Field, value: Any) -> tuple[Record, ...]:
    if isinstance(value, str):
        value = _listed(value)
    if not isinstance(value, list | tuple) or not all(isinstance(record, Mapping) for record in value):
        raise ValueError("must be a list of objects")
    if field.places is not None and len(value) > field.places:
        raise ValueError(f"has {len(value)} entries; there are at most {field.places}")
    found = [Record(_record(field, index, record)) for index, record in enumerate(value)]
    return tuple(_those_that_count(field, found) if field.switch else found)


def _those_that_count(field: Field, records: list[Record]) -> list[Record]:
    """Without those behind the last that is on: a form sends as many as it has room for.

    A form with a component for each value has room for `maximum`; if there are more, all that are off are left out.
    """
    on = [record for record in records if record[field.switch]]
    if field.maximum is not None and len(on) > field.maximum:
        raise ValueError(f"has {len(on)} entries that are on; there are at most {field.maximum:g}")
    last = max((number for number, record in enumerate(records, 1) if record[field.switch]), default=0)
    has_room = field.listed or field.maximum is None or last <= field.maximum
    return records[:last] if has_room else on


def _listed(text: str) -> Any:
    if len(text) > MAX_PROMPT:
        raise ValueError("is too long")
    try:
        return json.loads(text or "[]")
    except (ValueError, RecursionError):
        raise ValueError("must be a list") from None


def _record(field: Field, index: int, values: Mapping[str, Any]) -> dict[str, Any]:
    table = field.record or {}
    unknown = next((str(name) for name in values if name not in table), None)
    if unknown is not None:
        raise WrongRecord("is not a setting that Easel knows", f"[{index}].{unknown[:60]}")
    found = {}
    for name, inner in table.items():
        try:
            found[name] = clean(inner, values.get(name, inner.default))
        except ValueError as error:
            raise WrongRecord(str(error), f"[{index}].{name}{getattr(error, 'within', '')}") from None
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if len(value) > MAX_PROMPT:
        raise ValueError(f"has {len(value):,} characters; at most {MAX_PROMPT:,} are read")
    kept = "".join(c if c >= " " or c in "\n\t" else " " for c in value.replace("\r\n", "\n"))
    return kept.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be stored


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()           # an empty multiple choice
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of texts")
    if len(value) > MAX_TEXTS:
        raise ValueError(f"has {len(value):,} entries; at most {MAX_TEXTS:,} are read")
    return tuple(_text(item) for item in value)


def _file(field: Field, value: Any) -> str:
    """One of the built-in ones in any spelling, "" the default; other names are the catalogue's to judge."""
    name = _text(value).strip() or field.default
    if field.kind == "second_checkpoint" and name.casefold() == "none":
        return field.default
    return {choice.casefold(): choice for choice in field.choices}.get(name.casefold(), name)


def _choice(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if value in field.choices:
        return value
    try:
        return field.resolve(value) if field.resolve else _same_letters(field, value)
    except (KeyError, ValueError):
        raise ValueError(f"'{value[:60]}' is unknown; one of: {', '.join(field.choices)}") from None


def _same_letters(field: Field, value: str) -> str:
    return {choice.casefold(): choice for choice in field.choices}[value.casefold()]


def _picture(value: Any) -> str:
    if isinstance(value, str) and (not value or PICTURE_ID.fullmatch(value)):
        return value
    raise ValueError("must be a picture that was sent to Easel before")


def _pictures(field: Field, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = _listed(value)
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of pictures")
    if field.maximum is not None and len(value) > field.maximum:
        raise ValueError(f"has {len(value)} pictures; there are at most {field.maximum:g}")
    return tuple(picture for each in value if (picture := _picture(each)))


def _boolean(value: Any) -> bool:
    if value in (True, False, 0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    raise ValueError("must be yes or no")


def _number(field: Field, value: Any) -> int | float:
    number = _finite(value) if field.kind == "float" else _whole(value)
    if field.minimum is not None and number < field.minimum or field.maximum is not None and number > field.maximum:
        told = str(number) if field.kind == "seed" else f"{number:,}" if isinstance(number, int) else f"{number:g}"
        raise ValueError(f"must be between {field.minimum:g} and {field.maximum:,}; {told} is not")
    return number


def _whole(value: Any) -> int:
    """Exactly, however large: seeds have more digits than a float."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    number = _finite(value)
    if number != int(number):
        raise ValueError("must be a whole number")
    return int(number)


def _finite(value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    return number
