"""What earlier versions of sd-webui-controlnet wrote of units, and its relatives still do, as the last one has it.

    1.0             ControlNet-0 Enabled: True, ControlNet-0 Module: canny, ControlNet-0 Guidance Start: 0
    early 1.1       ControlNet Enabled: True, ControlNet Preprocessor: canny, ControlNet Starting Step: 0
    until 1.1.419   ControlNet 0: "preprocessor: canny, starting/ending: (0, 1), preprocessor params: (512, 100, 200)"
    one unit alone  ControlNet: "preprocessor: canny, ..."

And of ADetailer: ADetailer mask only top k largest: 1
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

UNIT = "ControlNet"
_WHOLE = re.compile(r"controlnet(?: (\d+))?", re.IGNORECASE)
_SINGLE = re.compile(r"controlnet(?:-(\d+))? (\D.*)", re.IGNORECASE)
_PAIR = re.compile(r"([\w /-]+):\s*(\([^)]*\)|[^,]*)")
_OLD = re.compile("preprocessor:|starting/ending:", re.IGNORECASE)
_PARAMS = ("Processor Res", "Threshold A", "Threshold B")
_STEPS = ("Guidance Start", "Guidance End")
_RENAMED = {"preprocessor": "Module", "starting step": "Guidance Start", "ending step": "Guidance End",
            "guidance strength": "Guidance End", "annotator resolution": "Processor Res"}
_PARTED = {"starting/ending": _STEPS, "preprocessor params": _PARAMS, "preprocessor parameters": _PARAMS}
_LARGEST = ("ADetailer mask only top k largest", "ADetailer mask only top k")
_UNSET = ("", "none", "-1", "-1.0")         # of numbers that a preprocessor does not have


def with_units_renewed(params: Mapping[str, Any]) -> dict[str, Any]:
    """A text's values by key, those of units in the last version's words: `ControlNet 0` -> `Module: canny, ...`."""
    told: dict[str, Any] = {}
    single: dict[str, list[tuple[str, str]]] = {}
    for key, value in params.items():
        if isinstance(value, str) and (whole := _WHOLE.fullmatch(key)):
            told[f"{UNIT} {whole[1] or 0}"] = _text(_inner(value)) if _OLD.search(value) else value
        elif isinstance(value, str) and (one := _SINGLE.fullmatch(key)):
            single.setdefault(f"{UNIT} {one[1] or 0}", []).append((one[2], value))
        else:
            told[key.replace(*_LARGEST)] = value
    switched_off = ("enabled", "false")
    return told | {unit: _text(pairs) for unit, pairs in single.items()
                   if switched_off not in [(key.casefold(), value.casefold()) for key, value in pairs]}


def _text(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in _renewed(pairs))


def _inner(text: str) -> Iterator[tuple[str, str]]:
    return ((pair[1].strip(), pair[2].strip()) for pair in _PAIR.finditer(text))


def _renewed(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, value in pairs:
        name = key.replace("_", " ").casefold()
        if name in _PARTED:
            parts = zip(_PARTED[name], value.strip("()").split(","), strict=False)
            yield from ((inner, part.strip()) for inner, part in parts if part.strip().casefold() not in _UNSET)
        else:
            yield _RENAMED.get(name, key.replace("_", " ")), value
