"""The txt2img tab: where each piece stands, and how the form is kept."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fields import Form
from ui.parts import actions, checkpoint_bar, prompt, results, seed, size

NAME = TITLE = "txt2img"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    form = Form(NAME, backend.defaults() if bar.checkpoint.value else {})
    form.adopt("checkpoint", bar.checkpoint)
    with gr.Row(elem_id=f"{NAME}_top", elem_classes=["top"]):
        with gr.Column(elem_classes=["prompts"], min_width=200):
            counters = prompt.place(form)
            form.rest("prompt")
        generate = actions.place(form, backend)
    with gr.Row(elem_id=f"{NAME}_body", elem_classes=["body"]):
        with gr.Column(elem_classes=["settings"], min_width=280, scale=5):
            _settings(form)
        results.place(NAME)
    prompt.wire_counters(form, counters, backend)
    actions.wire_generate(generate, form, backend)
    _keep(form, page)
    checkpoint_bar.wire_load(page, backend, bar)


def _settings(form: Form) -> None:
    with gr.Row(elem_classes=["pair"]):
        form.place("sampler", min_width=140)
        form.place("schedule", min_width=120)
    form.place("steps")
    form.rest("sampling")
    size.place(form)
    form.rest("size")
    with gr.Row(elem_classes=["pair"]):
        form.rest("batch")
    form.place("cfg_scale")
    seed.place(form)
    with gr.Accordion("Advanced sampling options", open=False, elem_id=f"{form.tab}_advanced"):
        form.rest("guidance", "advanced", "output")


def _keep(form: Form, page: gr.Blocks) -> None:
    """The browser keeps the form: saved at every change, back after a refresh, without asking the server."""
    script = f"(...values) => easel.form('{form.tab}').%s({form.names}, values)"
    everything = {"fn": None, "inputs": form.all}
    page.load(**everything, outputs=form.all, js=script % "restore")
    gr.on([component.change for component in form.all], **everything, js=script % "save")
    form["checkpoint"].input(**everything, outputs=form.all, js=script % "follow")
    apply = gr.Button("Apply", visible="hidden", elem_id=f"{form.tab}_apply")
    apply.click(**everything, outputs=form.all, js=script % "take")
