"""The txt2img tab: pictures from words."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fields import Form
from ui.parts import checkpoint_bar, workbench

NAME = TITLE = "txt2img"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    with workbench.place(NAME, backend, bar, page) as bench:
        workbench.sampling(bench.form)
        workbench.shape(bench.form)
        workbench.drawing(bench.form)
        _hires(bench.form)
        workbench.refiner(bench.form)
        workbench.advanced(bench.form)
        workbench.guides(bench.form)
        workbench.face_swap(bench.form)
        workbench.detailer(bench.form)
        workbench.extensions(bench.form)


def _hires(form: Form) -> None:
    """One row: the switch, the size that comes out, and the fold with the settings, which opens with the switch."""
    with gr.Column(elem_classes=["hires"]):
        form.place("enable_hr")
        gr.HTML('<p></p>', elem_id=f"{form.tab}_hires_size", elem_classes=["hires-size"], js_on_load=None,
                apply_default_css=False)
        with gr.Accordion("Hires. fix: the second pass", open=False, elem_id=f"{form.tab}_hires"):
            for name in ("hr_upscaler", "hr_scale", "denoising_strength", "hr_second_pass_steps"):
                form.place(name)
            form.rest("hires")
