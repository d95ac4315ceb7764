"""AUTOMATIC1111's scripts that draw plots, with their arguments in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from backend.errors import InvalidRequest
from backend.http.a1111.scripts import Script, arguments, script_named
from backend.plots.axis_table import NOTHING, axis_named
from backend.plots.cells import LETTERS
from backend.request.always_on_scripts import Argument
from backend.request.field import clean
from backend.request.loose_values import truth
from backend.request.request import FIELDS

# A1111 1.10's axes in its order: a number in `script_args` is a place among those of the tab.
BOTH_TABS, ONLY_TXT2IMG, ONLY_IMG2IMG = None, False, True
LABELS: tuple[tuple[str, bool | None], ...] = (
    *((label, BOTH_TABS) for label in ("Nothing", "Seed", "Var. seed", "Var. strength", "Steps")),
    ("Hires steps", ONLY_TXT2IMG), ("CFG Scale", BOTH_TABS), ("Image CFG Scale", ONLY_IMG2IMG),
    ("Prompt S/R", BOTH_TABS), ("Prompt order", BOTH_TABS), ("Sampler", ONLY_TXT2IMG), ("Hires sampler", ONLY_TXT2IMG),
    ("Sampler", ONLY_IMG2IMG),
    *((label, BOTH_TABS) for label in (
        "Checkpoint name", "Negative Guidance minimum sigma", "Sigma Churn", "Sigma min", "Sigma max", "Sigma noise",
        "Schedule type", "Schedule min sigma", "Schedule max sigma", "Schedule rho", "Beta schedule alpha",
        "Beta schedule beta", "Eta", "Clip skip", "Denoising", "Initial noise multiplier", "Extra noise")),
    ("Hires upscaler", ONLY_TXT2IMG), ("Cond. Image Mask Weight", ONLY_IMG2IMG),
    *((label, BOTH_TABS) for label in (
        "VAE", "Styles", "UniPC Order", "Face restore", "Token merging ratio", "Token merging ratio high-res",
        "Always discard next-to-last sigma", "SGM noise multiplier", "Refiner checkpoint", "Refiner switch at",
        "RNG source", "FP8 mode", "Size")),
)

XYZ = Script("X/Y/Z plot", (
    *(argument for name in LETTERS for argument in (
        Argument(f"{name.upper()} type", NOTHING.label, f"{name}_type"),
        Argument(f"{name.upper()} values", "", f"{name}_values"),
        Argument(f"{name.upper()} values", [], f"{name}_list"))),
    Argument("Draw legend", True, "draw_legend"),
    Argument("Include Sub Images", False, "include_sub_images"),
    Argument("Include Sub Grids", False, "include_sub_grids"),
    Argument("Keep -1 for seeds", False, "keep_random_seeds"),
    *(Argument(f"Vary seeds for {name.upper()}", False, f"vary_{name}") for name in LETTERS),
    Argument("Grid margins (px)", 0, "margin", 0, 500, 2),
    Argument("Use text inputs instead of dropdowns", False, "typed"),
))
MATRIX = Script("Prompt matrix", (
    Argument("Put variable parts at start of prompt", False, "put_at_start"),
    Argument("Use different seed for each picture", False, "different_seeds"),
    Argument("Select prompt", "positive", "prompt_type", choices=("positive", "negative")),
    Argument("Select joining char", "comma", "variations_delimiter", choices=("comma", "space")),
    Argument("Grid margins (px)", 0, "margin", 0, 500, 2),
))
LINES = Script("Prompts from file or textbox", (
    Argument("Iterate seed every line", False, "iterate_seed"),
    Argument("Use same random seed for all lines", False, "same_seed"),
    Argument("Insert prompts at the", "start", "position", choices=("start", "end")),
    Argument("List of prompt inputs", "", "text"),
    Argument("Make a combined image containing all outputs (if more than one)", False, "combined"),
))
PLOT_SCRIPTS = {"xyz": XYZ, "prompt_matrix": MATRIX, "prompts": LINES}
PLACE = "script_args"


def plot_asked(payload: Mapping[str, Any], *, img2img: bool) -> dict[str, Any] | None:
    """Kind, axes and options of the plot that a payload's script draws; None for another script. InvalidRequest."""
    script = script_named(payload, PLOT_SCRIPTS.values())
    if script is None:
        return None
    kind = next(kind for kind, known in PLOT_SCRIPTS.items() if known is script)
    given, _ = arguments(script, payload.get("script_args") or [], PLACE)     # Easel has each argument of these
    switches = {argument.field for argument in script.arguments if isinstance(argument.value, bool)}
    options = {name: truth(value) if name in switches else value for name, value in given.items()}
    if "margin" in options:
        options["margin"] = _margin(options["margin"], script)
    return {"kind": kind, "axes": list(_axes(options, img2img)) if kind == "xyz" else [], "options": _options(options)}


def _axes(options: dict[str, Any], img2img: bool) -> Iterator[dict[str, Any]]:
    """X, Y and Z as far as they are used; taken out of the options."""
    found = []
    for number, name in enumerate(LETTERS):
        label = _label(options.pop(f"{name}_type"), img2img, f"{PLACE}.{3 * number}")
        typed, chosen = options.pop(f"{name}_values"), options.pop(f"{name}_list")
        written = isinstance(typed, str) and typed.strip()
        from_list = chosen and not options["typed"] and (_has_choices(label) or not written)
        found.append({"label": label, "values": chosen if from_list else typed})
    while len(found) > 1 and found[-1]["label"] == NOTHING.label:
        found.pop()
    yield from found


def _has_choices(label: str) -> bool:
    """Whether the axis has a list, which counts on AUTOMATIC1111's page instead of the text."""
    try:
        return axis_named(label).choices is not None
    except KeyError:
        return False


def _label(asked: Any, img2img: bool, place: str) -> str:
    """By name, or by its number among those of the tab."""
    there = [label for label, tab in LABELS if tab in (BOTH_TABS, img2img)]
    if isinstance(asked, int) and not isinstance(asked, bool):
        if 0 <= asked < len(there):
            return there[asked]
        raise InvalidRequest(f"must be below {len(there)}; there are so many axes", field=place)
    return NOTHING.label if asked in (None, "", "None") else str(asked)


def _margin(asked: Any, script: Script) -> int:
    number, argument = next((number, one) for number, one in enumerate(script.arguments) if one.field == "margin")
    try:
        return int(clean(replace(FIELDS["width"], minimum=argument.minimum, maximum=argument.maximum), asked))
    except ValueError as error:
        raise InvalidRequest(str(error), field=f"{PLACE}.{number}") from None


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    vary = [name for name in LETTERS if options.get(f"vary_{name}")]
    kept = {name: value for name, value in options.items() if not name.startswith("vary_") and name != "typed"}
    return {**kept, **({"vary_seeds": vary} if vary else {})}


def place_of(field: str) -> str:
    """Where a payload says what a plot's field says."""
    first, _, rest = field.partition(".")
    if first == "axes" and rest:
        number, _, part = rest.partition(".")
        return f"{PLACE}.{3 * int(number) + (part == 'values')}"
    if first == "options":
        index = next((index for script in PLOT_SCRIPTS.values() for index, argument in enumerate(script.arguments)
                      if argument.field == rest), None)
        return PLACE if index is None else f"{PLACE}.{index}"
    return PLACE if first == "axes" else field
