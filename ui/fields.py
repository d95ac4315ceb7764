"""The field table as components: one row, one component, named after its field.

A tab places the fields it arranges by hand (`place`) and lets the rest of each group follow (`rest`), so that a new
row of the table appears on the page without a change here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from backend import FIELDS, STARTS, Field

EXPLAINED = ("seed_extra", "advanced", "files", "preview")     # groups whose help is read, not only a tooltip
FINEST_SLIDER = 20_000                  # more positions than this cannot be hit with a mouse


class Form:
    """The components of one tab by field name, each with the id `<tab>_<field>`."""

    def __init__(self, tab: str, values: Mapping[str, Any]) -> None:
        self.tab = tab
        self.values = values
        self.components: dict[str, Component] = {}

    def place(self, name: str, **look: Any) -> Component:
        field = FIELDS[name]
        ours = {"elem_id": f"{self.tab}_{name}", "elem_classes": ["field", f"field-{field.kind}"]}
        look = {"label": field.label} | ours | look
        if field.help and field.group in EXPLAINED:
            look.setdefault("info", field.help)
        value = self.values.get(name, field.default)
        return self.adopt(name, _KINDS[field.kind](field, value, look))

    def adopt(self, name: str, component: Component) -> Component:
        """A component that stands elsewhere on the page and belongs to this form too."""
        self.components[name] = component
        return component

    def rest(self, *groups: str) -> None:
        """Every field of these groups that has no place yet."""
        for field in FIELDS.values():
            if field.group in groups and field.name not in self.components:
                self.place(field.name)

    def __getitem__(self, name: str) -> Component:
        return self.components[name]

    @property
    def names(self) -> list[str]:
        return list(self.components)

    @property
    def all(self) -> list[Component]:
        return list(self.components.values())


def _text(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Textbox(value, **({"lines": 3, "max_lines": 12, "placeholder": field.help} | look))


def _number(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """No bounds here: a wrong number must reach `Request.parse`, which answers with the field's name."""
    return gr.Number(value, step=field.step or 1, **look)


def _bool(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Checkbox(value, **look)


def _choice(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=value, **look)


def _picture(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """The id of an upload; what a person sees of it stands in the element that is named after the field."""
    return gr.Textbox(value, **(look | {"elem_id": f"{look['elem_id']}_id", "elem_classes": [], "visible": "hidden"}))


def _texts(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=list(value), multiselect=True, **look)


def _upscaler(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=value, allow_custom_value=True, **look)


_KINDS: dict[str, Callable[[Field, Any, dict[str, Any]], Component]] = {
    "text": _text,
    "texts": _texts,
    "upscaler": _upscaler,
    "int": _number,
    "float": _number,
    "seed": _number,
    "bool": _bool,
    "choice": _choice,
    "picture": _picture,
}


def described() -> dict[str, dict[str, Any]]:
    """The table for the page: each field's label, help, slider if it has one, whether a tab starts with it."""
    return {field.name: {"label": field.label, "help": field.help, "default": field.default, "slider": _slider(field),
                         "start": field.name in STARTS, "internal": field.internal}
            for field in FIELDS.values()}


def _slider(field: Field) -> dict[str, float] | None:
    low = field.slider_minimum if field.slider_minimum is not None else field.minimum
    high = field.slider_maximum if field.slider_maximum is not None else field.maximum
    if field.kind not in ("int", "float") or field.default is None or low is None or high is None or not field.step:
        return None
    return {"min": low, "max": high, "step": field.step} if (high - low) / field.step <= FINEST_SLIDER else None
