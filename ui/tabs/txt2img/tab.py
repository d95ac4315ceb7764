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
        _hires(bench.form)
        workbench.drawing(bench.form)
        workbench.refiner(bench.form)
        workbench.advanced(bench.form)


def _hires(form: Form) -> None:
    """The switch stays in sight when its settings are folded away."""
    form.place("enable_hr")
    with gr.Accordion("Hires. fix: the second pass", open=False, elem_id=f"{form.tab}_hires"):
        for name in ("hr_upscaler", "hr_scale", "denoising_strength", "hr_second_pass_steps"):
            form.place(name)
        form.rest("hires")
