"""What every drawing tab has in common: prompts, actions, the form's memory, and the results beside the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from backend import FIELDS, Backend
from ui.fields import Form
from ui.parts import checkpoint_bar, generate, networks, plot_form, prompt, prompt_tools, results, seed, size, styles
from ui.script_calls import script


@dataclass
class Workbench:
    """A tab in the making. At Generate the form's values pass the script `before`, then `complete` on the server."""

    form: Form
    complete: generate.Complete = generate.as_it_is
    before: str | None = None


@contextmanager
def place(tab: str, backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks,
          source: Callable[[Form], None] | None = None) -> Iterator[Workbench]:
    """The whole tab; what is placed inside the block stands among the settings.

    `source` places what the pictures are made from. In one column it stands before the results, the settings behind.
    """
    form = Form(tab, backend.known_defaults() if bar.checkpoint.value else {})
    form.adopt("checkpoint", bar.checkpoint)
    bench = Workbench(form)
    with gr.Column(elem_id=f"{tab}_bench", elem_classes=["bench"]):
        with gr.Column(elem_classes=["prompts"]):
            counters = prompt.place(form)
            form.rest("prompt")
            styles.place(form)
            networks.place(form)
        if source:
            with gr.Column(elem_classes=["source-panel", "card"]):
                source(form)
        with gr.Column(elem_classes=["side"]):
            with gr.Row(elem_classes=["actions"], elem_id=f"{tab}_actions"):
                button = generate.buttons(form, backend)
                prompt_tools.place(form, backend)
            results.place(tab)
        with gr.Column(elem_classes=["settings", "card"]):
            yield bench
            plot_form.place(tab)
    prompt.wire_counters(form, counters, backend)
    styles.wire(form, backend, page)
    generate.wire_generate(button, form, backend, bench.complete, bench.before)
    keep(form, page)


def sampling(form: Form) -> None:
    with gr.Row(elem_classes=["pair"]):
        form.place("sampler", min_width=140)
        form.place("schedule", min_width=120)
    form.place("steps")
    form.rest("sampling")


def shape(form: Form) -> None:
    size.place(form)
    form.rest("size")


def drawing(form: Form) -> None:
    """Batch, guidance and seed."""
    with gr.Row(elem_classes=["pair"]):
        form.rest("batch")
    form.place("cfg_scale")
    seed.place(form)


def guides(form: Form) -> None:
    """The folds of guides and of the prompt's regions, which scripts fill."""
    form.place("guides")
    form.place("regions")


def face_swap(form: Form) -> None:
    """The fold in which a script places the pictures of faces, with what acts in this tab.

    Extras enlarges by settings of its own; only img2img has a picture to start from.
    """
    with gr.Accordion("Face swap", open=False, elem_id=f"{form.tab}_face_swap_fold"):
        gr.HTML('<div class="swap-place"></div>', elem_id=f"{form.tab}_swap", js_on_load=None, apply_default_css=False)
        form.place("face_swap")
        for name in ("face_swap_pictures", "face_swap_choice", "face_swap_model", "face_swap_source",
                     "face_swap_source_gender"):
            form.place(name)
        for name in ("face_swap_targets", "face_swap_sources"):
            form.place(name, lines=1, max_lines=1, info=FIELDS[name].help, placeholder="")
        for name in ("face_swap_gender", "face_swap_order", "face_swap_count_all", "face_swap_threshold",
                     "face_swap_most", "face_swap_mask"):
            form.place(name)
        if form.tab == "img2img":
            form.place("face_swap_place")
        if form.tab != "extras":
            _after_swap(form)


def _after_swap(form: Form) -> None:
    with gr.Accordion("After the swap", open=False, elem_id=f"{form.tab}_after_swap"):
        form.place("face_swap_keep_original")
        form.place("face_swap_upscaler")
        for name in ("face_swap_upscale_by", "face_swap_upscaler_visibility"):
            form.place(name)
        for name in ("face_swap_upscale_first", "face_swap_upscale_always"):
            form.place(name)


def detailer(form: Form) -> None:
    """A fold with one inside for each pass."""
    with gr.Accordion("Detailer", open=False, elem_id=f"{form.tab}_detailers_fold"):
        form.place("detailers")


def extensions(form: Form) -> None:
    """What extensions add to a picture: in one fold, one inside for each."""
    if any(field.group == "extensions" for field in FIELDS.values()):
        with gr.Accordion("Extensions", open=False, elem_id=f"{form.tab}_extensions"):
            form.sections("extensions")


def refiner(form: Form) -> None:
    with gr.Accordion("Refiner: another checkpoint for the last steps", open=False, elem_id=f"{form.tab}_refiner"):
        form.rest("refiner")


def advanced(form: Form) -> None:
    with gr.Accordion("Advanced sampling options", open=False, elem_id=f"{form.tab}_advanced"):
        form.rest("guidance", "advanced")


def keep(form: Form, page: gr.Blocks) -> None:
    """The browser keeps the form: saved at every change, back after a refresh, without asking the server."""
    keeping = script(f"form('{form.tab}').%s({form.names}, values)", "...values")
    everything = {"fn": None, "inputs": form.all}
    apply = gr.Button("Apply", visible="hidden", elem_id=f"{form.tab}_apply")
    tell = gr.Button("Tell", visible="hidden", elem_id=f"{form.tab}_tell")
    tell.click(**everything, js=keeping % "tells", trigger_mode="multiple")
    fillings = [page.load(**everything, outputs=form.all, js=keeping % "restore"),
                apply.click(**everything, outputs=form.all, js=keeping % "take")]
    if "checkpoint" in form.components:
        fillings.append(form["checkpoint"].input(**everything, outputs=form.all, js=keeping % "follow"))
    for filling in fillings:
        filling.then(**everything, js=keeping % "filled")
    gr.on([component.change for component in form.all], **everything, js=keeping % "save")
