"""The page. `build` makes it from the front door alone; `mount` puts it into the HTTP application."""

from __future__ import annotations

import gradio as gr
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from backend import Backend
from ui import extras, first, history, img2img, png_info, settings, theme, txt2img
from ui.parts import checkpoint_bar, notices, styles, upscalers

TABS = (txt2img, img2img, extras, png_info, history, settings)
SWEEP = (3600, 86400)       # seconds: how often to look for copies that Gradio makes of files, and their age


def build(backend: Backend) -> gr.Blocks:
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True, delete_cache=SWEEP) as page:
        bar = checkpoint_bar.place(backend)
        notices.place()
        styles.place_dialogs()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for tab in TABS:
                with gr.Tab(tab.TITLE, id=tab.NAME, elem_id=f"tab_{tab.NAME}"):
                    tab.place(backend, bar, page)
        checkpoint_bar.wire_load(page, backend, bar)
        upscalers.wire(page, backend, bar)
    return page


def mount(app: FastAPI, backend: Backend, path: str = "/") -> FastAPI:
    """Put the page under `path`; routes of `app` must be there already, or "/" would hide them."""
    app.mount("/easel/languages", StaticFiles(directory=first.LANGUAGES), name="languages")
    app.add_middleware(first.First, path=path)
    return gr.mount_gradio_app(
        app, build(backend), path=path, theme=theme.theme(), css=theme.css(), head=theme.head(),
        footer_links=[], run_history=False, show_error=False, ssr_mode=False,
    )
