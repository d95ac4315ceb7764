"""The field table as components: one row, one component, named after its field.

A tab places the fields it arranges by hand (`place`) and lets the rest of each group follow (`rest`), so that a new
row of the table appears on the page without a change here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from backend import FIELDS, PINNABLE, STARTS, Field, extension_name, record_place

# Groups whose help stands below the field, not behind an "i".
EXPLAINED = ("files", "preview", "extension_settings")
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
        if field.kind == "records" and field.listed:
            return self._listed(field, value)
        if field.kind == "records":
            return self._records(field, value)
        return self.adopt(name, _KINDS[field.kind](field, value, look))

    def _listed(self, field: Field, values: Sequence[Mapping[str, Any]]) -> Component:
        """A fold that a script fills, and beside it the list as the script tells it."""
        own = f"{self.tab}_{field.name}"
        with gr.Accordion(field.label, open=False, elem_id=f"{own}_fold"):
            gr.HTML(f'<div class="record-list" data-field="{field.name}"></div>', elem_id=own, js_on_load=None,
                    apply_default_css=False)
        told = json.dumps([dict(value) for value in values])
        return self.adopt(field.name, gr.Textbox(told, visible="hidden", elem_id=f"{own}_text", label=field.label))

    def _records(self, field: Field, values: Sequence[Mapping[str, Any]]) -> Component:
        """As many folds as there may be records, each with the components of one."""
        for index in range(int(field.maximum or 1)):
            own = f"{self.tab}_{field.name}_{index}"
            with gr.Accordion(f"{field.label} {index + 1}", open=False, elem_id=f"{own}_fold",
                              elem_classes=[f"fold-{field.name}"]) as fold:
                for name, inner in (field.record or {}).items():
                    held = values[index] if index < len(values) else {}
                    self._in_record(record_place(field.name, index, name), inner, held, f"{own}_{name}")
        return fold

    def _in_record(self, at: str, field: Field, held: Mapping[str, Any], elem_id: str) -> None:
        look = {"label": field.label, "elem_id": elem_id, "elem_classes": ["field", f"field-{field.kind}"]}
        self.adopt(at, _KINDS[field.kind](field, held.get(field.name, field.default), look))

    def adopt(self, name: str, component: Component) -> Component:
        """A component that stands elsewhere on the page and belongs to this form too."""
        self.components[name] = component
        return component

    def rest(self, *groups: str) -> None:
        """Every field of these groups that has no place yet."""
        for field in FIELDS.values():
            if field.group in groups and field.name not in self.components:
                self.place(field.name)

    def sections(self, group: str) -> None:
        """The same of one group, a fold for each section that its fields name."""
        for section in dict.fromkeys(field.section for field in FIELDS.values() if field.group == group):
            with gr.Accordion(section, open=False, elem_id=f"{self.tab}_{_fold(group, section)}"):
                for field in FIELDS.values():
                    if field.group == group and field.section == section and field.name not in self.components:
                        self.place(field.name)

    def __getitem__(self, name: str) -> Component:
        return self.components[name]

    @property
    def names(self) -> list[str]:
        return list(self.components)

    @property
    def all(self) -> list[Component]:
        return list(self.components.values())


def _fold(group: str, section: str) -> str:
    """What the id of a section's fold ends with."""
    return f"{group}_{re.sub(r'[^a-z0-9]+', '_', section.lower())}"


def _text(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Textbox(value, **({"lines": 3, "max_lines": 12, "placeholder": field.help} | look))


def _number(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """No bounds here: a wrong number must reach `Request.parse`, which answers with the field's name.

    One that may be left empty is text: Gradio's component for numbers makes 0 of nothing once it is shown.
    """
    if field.default is None:
        return gr.Textbox("" if value is None else f"{value:g}", lines=1, max_lines=1, **look)
    return gr.Number(value, step=field.step or 1, **look)


def _seed(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """Text: a browser's numbers have 53 bits, and a seed 64."""
    return gr.Textbox(str(value), lines=1, max_lines=1, **look)


def _bool(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Checkbox(value, **look)


def _choice(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=value, **look)


def _picture(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """The id of an upload; what a person sees of it stands in the element that is named after the field."""
    return gr.Textbox(value, **(look | {"elem_id": f"{look['elem_id']}_id", "elem_classes": [], "visible": "hidden"}))


def _pictures(field: Field, value: Any, look: dict[str, Any]) -> Component:
    """Their ids, as the script tells them."""
    return _picture(field, json.dumps(list(value)), look)


def _texts(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=list(value), multiselect=True, **look)


def _file(field: Field, value: Any, look: dict[str, Any]) -> Component:
    return gr.Dropdown(list(field.choices), value=value, allow_custom_value=True, **look)


_KINDS: dict[str, Callable[[Field, Any, dict[str, Any]], Component]] = {
    "text": _text,
    "texts": _texts,
    "upscaler": _file,
    "second_checkpoint": _file,
    "vae": _file,
    "guide_model": _file,
    "object_detector": _file,
    "face_model": _file,
    "int": _number,
    "float": _number,
    "seed": _seed,
    "bool": _bool,
    "choice": _choice,
    "picture": _picture,
    "pictures": _pictures,
}


def described() -> dict[str, dict[str, Any]]:
    """The table for the page: label, help and slider of each field, whether a tab starts with it, what a pin needs.

    With the fields of a list's records as `record`, the fold that is marked while a field acts, and whose it is.
    """
    rows = {field.name: field for field in FIELDS.values()} | dict(_of_records())
    return {name: _row(field) for name, field in rows.items()}


def _row(field: Field, inner: bool = False) -> dict[str, Any]:
    listed = {name: _row(inner, inner=True) for name, inner in (field.record or {}).items()} if field.listed else None
    owner = extension_name(FIELDS.owner_of(field.name)) if field.section else ""
    return {"label": field.label, "help": field.help, "default": _default(field), "kind": field.kind,
            "slider": _slider(field), "start": field.name in STARTS, "internal": field.internal,
            **({"fold": _fold(field.group, field.section)} if field.section and not field.needs else {}),
            **({"extension": owner} if owner else {}),
            **({"choices": list(field.choices)} if inner or field.name in PINNABLE else {}),
            **({"record": listed, "most": field.maximum} if listed else {})}


def _default(field: Field) -> Any:
    if field.default is None:
        return ""
    return str(field.default) if field.kind == "seed" else field.default


def _of_records() -> Iterator[tuple[str, Field]]:
    """The fields of every record that a form has components for, by the name of its place."""
    for field in FIELDS.values():
        for index in range(int(field.maximum or 1) if field.kind == "records" and not field.listed else 0):
            yield from ((record_place(field.name, index, name), inner) for name, inner in (field.record or {}).items())


def _slider(field: Field) -> dict[str, float] | None:
    low = field.slider_minimum if field.slider_minimum is not None else field.minimum
    high = field.slider_maximum if field.slider_maximum is not None else field.maximum
    if field.kind not in ("int", "float") or field.default is None or low is None or high is None or not field.step:
        return None
    return {"min": low, "max": high, "step": field.step} if (high - low) / field.step <= FINEST_SLIDER else None
