"""AUTOMATIC1111's scripts: those that Easel has as fields, with their arguments in AUTOMATIC1111's order.

A selectable script comes as `script_name` and `script_args`, an always-on one in `alwayson_scripts`. Most of
AUTOMATIC1111's own always-on ones do not act when they come through its API, so they are passed over here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.errors import InvalidRequest, Problem
from backend.http.a1111.unsupported import NOT_HERE, Lacking
from backend.request.always_on_scripts import ALWAYS_ON, AlwaysOnScript, Argument, lacking
from backend.request.choices import NO_UPSCALER, STRENGTH_CURVES
from backend.request.loose_values import is_same, truth

SIDES = ("left", "right", "up", "down")
NAMES_OFF = ("", "none")
LOOPBACK = "Loopback"


@dataclass(frozen=True, slots=True)
class Script:
    """A script of the img2img tab. `sets` are values that go with it, `adapt` makes field values of its arguments."""

    name: str
    arguments: tuple[Argument, ...]
    sets: Mapping[str, Any] = field(default_factory=dict)
    adapt: Callable[[dict[str, Any], Sequence[str]], dict[str, Any]] = lambda values, _: values

    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """Its arguments in their order, by the names of their fields. None is the usual value."""
        pairs = zip(self.arguments, given, strict=True)
        return {argument.field: argument.value if value is None else value
                for argument, value in pairs if argument.field}


def _upscale(values: dict[str, Any], upscalers: Sequence[str]) -> dict[str, Any]:
    """By name or by number. Without an upscaler the picture keeps its size and is drawn again in tiles."""
    chosen = values["sd_upscale"]
    if isinstance(chosen, int) and not isinstance(chosen, bool) and 0 <= chosen < len(upscalers):
        chosen = upscalers[chosen]
    if isinstance(chosen, str) and chosen.strip().casefold() in NAMES_OFF:
        return values | {"sd_upscale": "Nearest", "sd_upscale_factor": 1}
    return values | {"sd_upscale": chosen}


def _outpaint(values: dict[str, Any], _: Sequence[str]) -> dict[str, Any]:
    pixels, sides = values.pop("pixels"), values.pop("sides")
    wanted = [sides] if isinstance(sides, str) else sides
    if not isinstance(wanted, list) or not all(side in SIDES for side in wanted):
        raise InvalidRequest(f"must be a list of sides: {', '.join(SIDES)}", field="script_args.3")
    return values | {f"outpaint_{side}": pixels if side in wanted else 0 for side in SIDES}


SELECTABLE: tuple[Script, ...] = (
    Script("SD upscale", (
        Argument("", "", idle=True),
        Argument("Tile overlap", 64, "sd_upscale_overlap", 0, 256, 16),
        Argument("Upscaler", NO_UPSCALER, "sd_upscale"),
        Argument("Scale Factor", 2.0, "sd_upscale_factor", 1, 4, 0.05),
    ), {"batch_size": 1}, _upscale),        # the batch size is how many tiles are drawn side by side
    Script(LOOPBACK, (
        Argument("Loops", 4, "loopback_loops", 1, 32, 1),
        Argument("Final denoising strength", 0.5, "final_denoising_strength", 0, 1, 0.01),
        Argument("Denoising strength curve", "Linear", "denoising_curve", choices=STRENGTH_CURVES),
        Argument("Append interrogated prompt at each iteration", "None", choices=("None",)),
    ), {"batch_size": 1}),                  # its chains are the batches
    Script("Outpainting mk2", (
        Argument("", "", idle=True),
        Argument("Pixels to expand", 128, "pixels", 8, 256, 8),
        Argument("Mask blur", 8, "mask_blur", 0, 64, 1),
        Argument("Outpainting direction", list(SIDES), "sides", choices=SIDES),
        Argument("Fall-off exponent (lower=higher detail)", 1.0),
        Argument("Color variation", 0.05),
    ), {"inpaint_area": "Whole picture", "masked_content": "fill", "mask_mode": "Inpaint masked"}, _outpaint),
)
SOFT_INPAINTING = AlwaysOnScript("Soft Inpainting", (
    Argument("Soft inpainting", False, "soft_inpainting"),
    Argument("Schedule bias", 1.0),
    Argument("Preservation strength", 0.5),
    Argument("Transition contrast boost", 4.0),
    Argument("Mask influence", 0.0),
    Argument("Difference threshold", 0.5),
    Argument("Difference contrast", 2.0),
))
WITHOUT_EFFECT = ("refiner", "seed", "sampler", "comments", "extra options", "hypertile")
"""Always-on scripts that belong to AUTOMATIC1111's page, or that have no arguments."""
ELSEWHERE = ("controlnet", "reactor", "adetailer")      # see `a1111_guides`, `a1111_face_swap`, `a1111_detailer`


def script_named(payload: Mapping[str, Any], scripts: Iterable[Script]) -> Script | None:
    """The one of these scripts that a payload selects."""
    return next((script for script in scripts if is_same(payload.get("script_name"), script.name)), None)


def selected(
    payload: Mapping[str, Any], upscalers: Sequence[str], scripts: Sequence[Script]
) -> tuple[dict[str, Any], list[Problem]]:
    """Field values of the one of these scripts that a payload names, {} for none; and what Easel does not have of it.

    `upscalers` are the names that `GET upscalers` lists. Raises InvalidRequest for wrong arguments.
    """
    name = payload.get("script_name")
    if name is None or isinstance(name, str) and name.strip().casefold() in NAMES_OFF:
        return {}, []
    script = script_named(payload, scripts)
    if script is None:
        there = ", ".join(script.name for script in scripts)
        return {}, [Lacking(f"'{str(name)[:60]}' is not a script that Easel has; there is: {there}", "script_name")]
    values, problems = arguments(script, payload.get("script_args") or [], "script_args")
    return {**script.sets, **script.adapt(values, upscalers)}, problems


def always_on(scripts: Any, *, img2img: bool) -> tuple[dict[str, Any], list[Problem]]:
    """Field values of the always-on scripts, and a problem for each that is switched on and not here."""
    if not isinstance(scripts, Mapping):
        wrong = Problem("must be an object of scripts by name", "alwayson_scripts")
        return {}, [wrong] if scripts else []
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, script in scripts.items():
        place = f"alwayson_scripts.{name}"
        if name.strip().casefold() in (*WITHOUT_EFFECT, *ELSEWHERE) or is_off(script):
            continue
        known = _known(name, img2img)
        if known is None:
            problems.append(Lacking(NOT_HERE, place))
            continue
        try:
            given, unlike = arguments(known, script["args"] if isinstance(script, Mapping) else script, place)
            values |= given
            problems += unlike
        except InvalidRequest as error:
            problems += error.problems
    return values, problems


def always_on_scripts(*, img2img: bool) -> list[AlwaysOnScript]:
    """Those that a tab has: Easel's own, and what extensions say that they stand for."""
    return [*([SOFT_INPAINTING] if img2img else []), *ALWAYS_ON.values()]


def _known(name: str, img2img: bool) -> AlwaysOnScript | None:
    return next((script for script in always_on_scripts(img2img=img2img) if is_same(name, script.name)), None)


def answers_last_rounds(payload: Mapping[str, Any]) -> bool:
    """Whether the answer has the last round of each batch alone: Loopback tells every round only of a single batch."""
    return is_same(payload.get("script_name"), LOOPBACK)


def script_arguments(scripts: Any, name: str, off: Callable[[Any], bool] | None = None) -> tuple[str, Any]:
    """Where the arguments of an always-on script stand, and what they are; [] where it is `off`, None without any.

    Raises InvalidRequest where they are neither a list nor an object, and where something else stands in their place.
    """
    named = scripts.items() if isinstance(scripts, Mapping) else ()
    theirs, script = next(((theirs, script) for theirs, script in named if is_same(theirs, name)), ("", None))
    sent = script.get("args") if isinstance(script, Mapping) else script
    place = f"alwayson_scripts.{theirs}.args"
    if isinstance(script, Mapping) and "args" not in script and any(script.values()):
        raise InvalidRequest("is missing: the list of the script's arguments", field=place)
    if (off or is_off)(script):
        return place, [] if sent else None
    if not isinstance(sent, list | Mapping):
        raise InvalidRequest("must be a list of arguments", field=place)
    return place, sent


def is_off(script: Any) -> bool:
    """Whether an always-on script does nothing: no arguments, a first one that says no, or only idle units."""
    arguments = script.get("args") if isinstance(script, Mapping) else script
    if isinstance(arguments, Mapping):
        arguments = list(arguments.values()) if arguments else []
    if not isinstance(arguments, list):
        return not arguments
    first = arguments[0] if arguments else False
    units = [unit for unit in arguments if isinstance(unit, Mapping)]
    if not isinstance(first, Mapping) and not (first is None and units):
        switched = truth(first)
        return switched is False or (switched is True and bool(units) and all(map(_is_idle, units)))
    return all(not unit or (isinstance(unit, Mapping) and _is_idle(unit)) for unit in arguments)


def _is_idle(unit: Mapping[str, Any]) -> bool:
    """A unit of ControlNet or ADetailer that is switched off, or that names neither model nor preprocessor."""
    if not is_on(unit, "enabled"):
        return True
    switch = unit.get("Soft inpainting")
    if switch is not None:
        return truth(switch) is False
    names = [unit[key] for key in ("model", "ad_model", "module") if key in unit]
    return bool(names) and all(str(name or "").strip().casefold() in NAMES_OFF for name in names)


def is_on(unit: Mapping[str, Any], switch: str) -> bool:
    """Whether a unit acts by its switch; one that is left out, or null, says nothing against it."""
    return unit.get(switch) is None or truth(unit[switch]) is not False


def arguments(script: Script | AlwaysOnScript, sent: Any, place: str) -> tuple[dict[str, Any], list[Problem]]:
    """Field values by the names in the table, and what Easel does not have; an object gives arguments by their labels.

    Raises InvalidRequest for too many.
    """
    sent = sent[0] if isinstance(sent, list) and len(sent) == 1 and isinstance(sent[0], Mapping) else sent
    if isinstance(sent, Mapping):
        sent = [sent.get(argument.label, argument.value) for argument in script.arguments]
    if not isinstance(sent, list) or len(sent) > len(script.arguments):
        raise InvalidRequest(f"must be a list of at most {len(script.arguments)}, as {script.name} takes them",
                             field=place)
    given = [*sent, *(argument.value for argument in script.arguments[len(sent):])]
    asks = isinstance(script, Script) or truth(given[0])
    if asks is None:
        raise InvalidRequest(f"({script.arguments[0].label}) must be true or false", field=f"{place}.0")
    values = script.values(given)
    unlike = lacking(script.arguments, given) if asks else ()
    return values, [Lacking(f"({argument.label}) can only be {argument.value} here", f"{place}.{number}")
                    for number, argument in unlike]
