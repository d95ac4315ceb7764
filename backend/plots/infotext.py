"""A plot in a picture's settings text: AUTOMATIC1111's keys of its X/Y/Z plot, and a few more for what it lacks.

    Script: X/Y/Z plot, X Type: Seed, X Values: "-1, -1", Fixed X Values: "17, 4", Y Type: Steps, Y Values: 10-30 (+10)

Axes beyond the third are "Axis 4 Type", "Axis 4 Values". "Vary seeds: xz" tells the switches of seeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from backend.image.infotext import parse, quote
from backend.image.infotext.syntax import appended
from backend.plots.axis_table import NOTHING
from backend.plots.cells import LETTERS, RANDOM_LABELS

SCRIPTS = {"xyz": "X/Y/Z plot", "prompt_matrix": "Prompt matrix", "prompts": "Prompts from file or textbox"}
"""The kinds of plots, and AUTOMATIC1111's names of the scripts that make them."""
SCRIPT, VARY = "Script", "Vary seeds"
MATRIX_KEYS = {"put_at_start": "Matrix at start", "different_seeds": "Matrix seeds", "prompt_type": "Matrix prompt",
               "variations_delimiter": "Matrix delimiter"}
MOST_AXES = 10


def plot_infotext(text: str, kind: str, axes: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> str:
    """The settings text of a cell with the keys of its plot, whose `axes` are as its row has them."""
    told = dict(_told(kind, axes, options))
    return appended(text, ", ".join(f"{key}: {quote(value)}" for key, value in told.items())) or text


def read_plot(text: str) -> dict[str, Any] | None:
    """Kind, axes and options of the plot that a settings text tells of, to be asked for again; None for no plot."""
    told = parse(text)
    kind = next((kind for kind, script in SCRIPTS.items() if str(told.get(SCRIPT, "")).casefold() == script.casefold()),
                None)
    if kind is None:
        return None
    options = {name: told[key] for name, key in MATRIX_KEYS.items() if key in told}
    if vary := [letter for letter in LETTERS if letter in str(told.get(VARY, "")).casefold()]:
        options["vary_seeds"] = vary
    return {"kind": kind, "axes": list(_read_axes(told)), "options": options}


def typed_values(values: Iterable[Any]) -> str:
    """Single values as somebody would type them: those with commas in quotes."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([str(value) for value in values])
    return out.getvalue().replace(",", ", ") if '"' not in out.getvalue() else out.getvalue()


def _told(kind: str, axes: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield SCRIPT, SCRIPTS.get(kind, SCRIPTS["xyz"])
    for name, axis in zip(_names(), axes, strict=False):
        label, typed = str(axis.get("label", "")), str(axis.get("values", ""))
        if kind != "xyz" or label == NOTHING.label:
            continue
        yield f"{name} Type", label
        yield f"{name} Values", typed
        if label in RANDOM_LABELS and axis.get("shown") and not options.get("keep_random_seeds"):
            yield f"Fixed {name} Values", ", ".join(map(str, axis["shown"]))
    for name, key in MATRIX_KEYS.items() if kind == "prompt_matrix" else ():
        if name in options:
            yield key, str(options[name])
    if options.get("vary_seeds"):
        yield VARY, "".join(options["vary_seeds"])


def _names() -> Iterator[str]:
    yield from map(str.upper, LETTERS)
    yield from (f"Axis {number}" for number in range(len(LETTERS) + 1, MOST_AXES + 1))


def _read_axes(told: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name in _names():
        if f"{name} Type" in told:
            values = told.get(f"Fixed {name} Values", told.get(f"{name} Values", ""))
            yield {"label": str(told[f"{name} Type"]), "values": str(values)}
