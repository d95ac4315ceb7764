"""The prompt boxes with their live token counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from backend import Backend, EaselError
from ui.current_user import door
from ui.fields import Form
from ui.script_calls import QUIET

BOXES = ("prompt", "negative_prompt")


def place(form: Form) -> dict[str, gr.HTML]:
    """Both boxes; the counters by field name."""
    return {name: _box(form, name, lines) for name, lines in zip(BOXES, (3, 2), strict=True)}


def _box(form: Form, name: str, lines: int) -> gr.HTML:
    with gr.Column(elem_classes=["prompt-box"], min_width=200):
        form.place(name, lines=lines)
        return gr.HTML(_counter(0, 75), elem_id=f"{form.tab}_{name}_tokens", elem_classes=["token-counter"])


def wire_counters(form: Form, counters: dict[str, gr.HTML], backend: Backend) -> None:
    """Only the newest text is counted when typing is faster than counting."""
    for name, counter in counters.items():
        inputs = [form[name], form["checkpoint"], form["steps"], form["styles"], form["prompt_comments"]]
        gr.on([component.change for component in inputs], _counting(backend, name), inputs, [counter],
              trigger_mode="always_last", **QUIET)


def _counting(backend: Backend, name: str) -> Callable[..., str]:
    """Counts what is typed together with the chosen styles."""

    def count(
        text: str | None, checkpoint: str | None, steps: Any, styles: list[str] | None, comments: bool,
        asked: gr.Request
    ) -> str:
        texts = dict.fromkeys(BOXES, "") | {name: text or ""}
        try:
            both = texts.values()
            if styles:
                both = door(backend, asked).prompt_library.apply(styles, *both)
            drawn = [*both][BOXES.index(name)]
            return _counter(*backend.count_tokens(drawn, checkpoint or "", int(steps or 1), comments))
        except (EaselError, ValueError, OverflowError):
            return ""  # a checkpoint or a style that is gone, half a number: the field itself will say so

    return count


def _counter(used: int, room: int) -> str:
    return f'<span aria-hidden="true">{used}/{room}</span><span class="unseen">{used} of {room} tokens</span>'
