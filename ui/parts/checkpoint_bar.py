"""The head of the page: which model draws, how its worker is, and what suits the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from backend import FIELDS, Backend, EaselError
from ui.script_calls import script


@dataclass(frozen=True)
class Bar:
    checkpoint: gr.Dropdown
    refresh: gr.Button          # renews the lists of models
    facts: gr.JSON              # for the scripts: see `facts`


def place(backend: Backend) -> Bar:
    with gr.Row(elem_id="bar", equal_height=True):
        gr.HTML('<h1 class="wordmark">Easel</h1>', elem_id="wordmark")
        checkpoint = gr.Dropdown(
            choices(backend), value=facts(backend)["default"] or None, allow_custom_value=True,
            label=FIELDS["checkpoint"].label, elem_id="checkpoint", elem_classes=["field"], min_width=180)
        refresh = gr.Button("Refresh the lists of checkpoints and upscalers", elem_id="refresh_checkpoints",
                            elem_classes=["icon", "icon-refresh"])
        gr.HTML('<p class="worker" id="worker"></p>', elem_id="worker_state")
    bar = Bar(checkpoint, refresh, gr.JSON(visible=False))
    refresh.click(lambda: _renewed(backend), outputs=[checkpoint, bar.facts], queue=False, show_progress="hidden",
                  api_visibility="private").then(**learn(bar))
    return bar


def wire_load(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """A page opened later than the server knows the models that came since."""
    page.load(lambda: _renewed(backend, refresh=False), outputs=[bar.checkpoint, bar.facts], queue=False,
              show_progress="hidden", api_visibility="private").then(**learn(bar))


def learn(bar: Bar) -> dict[str, Any]:
    return {"fn": None, "inputs": [bar.facts], "js": script("learn(facts)", "facts")}


def choices(backend: Backend, refresh: bool = False) -> list[tuple[str, str]]:
    return [(checkpoint.title, checkpoint.key) for checkpoint in backend.checkpoints(refresh)]


def facts(backend: Backend) -> dict[str, Any]:
    """The default checkpoint, for each what suits it: field values and example prompts; what lists of files offer."""
    try:
        default = backend.checkpoint("").key
    except EaselError:
        default = ""
    known = backend.checkpoints()
    named = {"upscaler": backend.upscalers(), "vae": backend.usable_files("vae")}
    files = {kind: [(file.key, file.key) for file in found] for kind, found in named.items()}
    files["second_checkpoint"] = choices(backend)
    return {"default": default, "defaults": {checkpoint.key: backend.suits(checkpoint) for checkpoint in known},
            "examples": {checkpoint.key: list(checkpoint.facts.get("example_prompts", ())) for checkpoint in known},
            "files": files}


def _renewed(backend: Backend, refresh: bool = True) -> tuple[Any, dict[str, Any]]:
    return gr.update(choices=choices(backend, refresh)), facts(backend)
