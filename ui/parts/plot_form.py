"""The fold with the scripts of a tab: X/Y/Z plot, prompt matrix, prompts from a file. What is in it is the scripts'."""

from __future__ import annotations

import gradio as gr


def place(tab: str) -> None:
    with gr.Accordion("Script: X/Y/Z plot, prompt matrix, prompts from file", open=False, elem_id=f"{tab}_plot_fold"):
        gr.HTML('<div class="plot-form"></div>', elem_id=f"{tab}_plot", js_on_load=None, apply_default_css=False)
