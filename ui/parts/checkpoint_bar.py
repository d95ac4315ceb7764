"""The head of the page: which model draws, how its worker is, and what suits the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from backend import FIELDS, Backend, NotFound
from ui.script_calls import QUIET, script


@dataclass(frozen=True)
class Bar:
    checkpoint: gr.Dropdown
    refresh: gr.Button          # renews the lists of models
    facts: gr.JSON              # for the scripts: see `facts`


def place(backend: Backend) -> Bar:
    with gr.Row(elem_id="bar", equal_height=True):
        gr.HTML('<h1 class="wordmark">Easel</h1>', elem_id="wordmark")
        checkpoint = gr.Dropdown(
            choices(backend), value=_at_first(backend), allow_custom_value=True,
            label=FIELDS["checkpoint"].label, elem_id="checkpoint", elem_classes=["field"], min_width=180)
        refresh = gr.Button("Refresh the lists of checkpoints and upscalers", elem_id="refresh_checkpoints",
                            elem_classes=["icon", "icon-refresh"])
        gr.HTML('<p class="worker" id="worker"></p>', elem_id="worker_state")
    bar = Bar(checkpoint, refresh, gr.JSON(visible=False))
    refresh.click(lambda: _renewed(backend), outputs=[checkpoint, bar.facts], **QUIET).then(**learn(bar))
    return bar


def wire_load(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """A page opened later than the server knows the models that came since."""
    page.load(lambda: _renewed(backend, refresh=False), outputs=[bar.checkpoint, bar.facts], **QUIET).then(**learn(bar))


def learn(bar: Bar) -> dict[str, Any]:
    return {"fn": None, "inputs": [bar.facts], "js": script("learn(facts)", "facts")}


def choices(backend: Backend, refresh: bool = False) -> list[tuple[str, str]]:
    """By what is known of the models folders by now; with `refresh` after a look through them."""
    known = backend.checkpoints(refresh) if refresh else backend.known_files.listed("checkpoint")
    return [(checkpoint.title, checkpoint.key) for checkpoint in known]


def facts(backend: Backend) -> dict[str, Any]:
    """The default checkpoint, for each what suits it: field values and example prompts; what lists of files offer."""
    files_known = backend.known_files
    known = files_known.listed("checkpoint")
    named = {kind: files_known.usable(kind) for kind in ("upscaler", "vae")}
    files = {kind: [(file.key, file.key) for file in found] for kind, found in named.items()}
    files["second_checkpoint"] = choices(backend)
    return {"default": _default(backend),
            "defaults": {checkpoint.key: backend.known_suits(checkpoint) for checkpoint in known},
            "examples": {checkpoint.key: list(checkpoint.facts.get("example_prompts", ())) for checkpoint in known},
            "files": files, "reads_models": files_known.is_reading}


def _at_first(backend: Backend) -> str | None:
    """None while another one may still become the default: pages that are opened later learn which."""
    return _default(backend) or None if backend.known_files.is_read("checkpoint") else None


def _default(backend: Backend) -> str:
    """"" where no checkpoint is known."""
    try:
        return backend.known_files.find("checkpoint").key
    except NotFound:
        return ""


def _renewed(backend: Backend, refresh: bool = True) -> tuple[Any, dict[str, Any]]:
    return gr.update(choices=choices(backend, refresh)), facts(backend)
