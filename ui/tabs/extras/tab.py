"""The Extras tab: finished pictures enlarged, and their faces made clean. Each chosen picture becomes a job."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fields import Form
from ui.fragment import fragment
from ui.parts import checkpoint_bar, generate, results, workbench
from ui.script_calls import script

NAME = "extras"
TITLE = "Extras"
STARTS = {"upscaler_1": "Lanczos"}      # the field's own "None" would give the picture back as it is
NO_RESTORER = """<p class="extras-none">To restore faces, put GFPGAN's file into <code>models/GFPGAN</code> or
CodeFormer's into <code>models/Codeformer</code>, and insightface's <code>det_10g.onnx</code>, which finds the faces,
into <code>models/insightface</code>.</p>"""


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    form = Form(NAME, STARTS)
    with gr.Column(elem_id=f"{NAME}_bench", elem_classes=["bench"]):
        with gr.Column(elem_classes=["source-panel", "card"]):
            gr.HTML(fragment(__file__, "extras.html"), elem_id=f"{NAME}_init_image", elem_classes=["sources"],
                    js_on_load=None, apply_default_css=False)
        with gr.Column(elem_classes=["side"]):
            with gr.Row(elem_classes=["actions"], elem_id=f"{NAME}_actions"):
                button = generate.buttons(form, backend)
            results.place(NAME)
        with gr.Column(elem_classes=["settings", "card"]):
            _upscaling(form)
            workbench.face_swap(form)
            _faces(form, backend)
    button.click(fn=None, inputs=form.all, js=script(f"extras.generate({form.names}, values)", "...values"))
    workbench.keep(form, page)


def _upscaling(form: Form) -> None:
    form.place("upscaler_1")
    form.place("upscale_by")
    with gr.Accordion("Scale to a size instead", open=False, elem_id=f"{NAME}_size"):
        for name in ("upscale_to_width", "upscale_to_height", "upscale_crop"):
            form.place(name)
    with gr.Accordion("A second upscaler", open=False, elem_id=f"{NAME}_second"):
        form.place("upscaler_2")
        form.place("upscaler_2_visibility")


def _faces(form: Form, backend: Backend) -> None:
    with gr.Accordion("Restore faces", open=False, elem_id=f"{NAME}_faces"):
        if not backend.known_face_restorers():
            gr.HTML(NO_RESTORER, js_on_load=None, apply_default_css=False)
        form.rest("extras")
