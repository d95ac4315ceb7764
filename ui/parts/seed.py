"""The seed with its two buttons, and the extra seed options folded away."""

from __future__ import annotations

import gradio as gr

from ui.fields import Form
from ui.script_calls import script


def place(form: Form) -> None:
    with gr.Row(elem_classes=["seed"]):
        seed = form.place("seed", min_width=120)
        fresh = gr.Button("Random seed: a new one each time", elem_id=f"{form.tab}_random_seed",
                          elem_classes=["icon", "icon-dice"])
        reuse = gr.Button("Reuse the seed of the picture shown", elem_id=f"{form.tab}_reuse_seed",
                          elem_classes=["icon", "icon-recycle"])
    form.rest("seed")
    with gr.Accordion("Extra seed options", open=False, elem_id=f"{form.tab}_seed_extra"):
        form.rest("seed_extra")
    fresh.click(fn=None, outputs=[seed], js="() => '-1'")
    reuse.click(fn=None, inputs=[seed], outputs=[seed], js=script(f"results('{form.tab}').seed() ?? seed", "seed"))
