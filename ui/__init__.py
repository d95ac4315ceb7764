"""The page. `build` makes it from the front door alone; `mount` puts it into the HTTP application."""

from __future__ import annotations

import logging
from html import escape

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware

from backend import Backend, Table
from ui import api_page, assets, gradio_assets, gradio_errors, language_files, page_head, share_page, theme
from ui.compression import Compression
from ui.parts import checkpoint_bar, file_lists, notices, quick_settings, second_checkpoints, styles
from ui.root_path import RootPath
from ui.tabs.extras import tab as extras
from ui.tabs.history import tab as history
from ui.tabs.img2img import tab as img2img
from ui.tabs.people import tab as people
from ui.tabs.plots import tab as plots
from ui.tabs.png_info import tab as png_info
from ui.tabs.settings import tab as settings
from ui.tabs.table import Tab, Tabs
from ui.tabs.txt2img import tab as txt2img

COMPRESSION = 5             # of 9; more takes longer than it saves
GRADIO_STYLE = "gradio.css"
SWEEP = (3600, 86400)       # seconds: how often to look for copies that Gradio makes of files, and their age


log = logging.getLogger(__name__)


def fill(tabs: Tabs) -> Tabs:
    """Easel's own tabs, to which extensions add theirs before the page is built."""
    for tab in (txt2img, img2img, extras, png_info, history, plots, settings, people):
        tabs.add(tab)
    return tabs


def build(backend: Backend, tabs: Tabs | None = None) -> gr.Blocks:
    """The page with these tabs; without any, with Easel's own."""
    tabs = tabs or fill(Table("tabs", key="NAME"))
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True, delete_cache=SWEEP) as page:
        bar = checkpoint_bar.place(backend)
        notices.place()
        quick_settings.place()
        styles.place_dialogs()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for tab in tabs.values():
                with gr.Tab(tab.TITLE, id=tab.NAME, elem_id=f"tab_{tab.NAME}"):
                    _place(tab, tabs.owner_of(tab.NAME), backend, bar, page)
        checkpoint_bar.wire_load(page, backend, bar)
        file_lists.wire(page, backend, bar)
        second_checkpoints.wire(page, backend, bar)
    return page


def _place(tab: Tab, extension: str, backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    """The content of a tab. One that an extension brings costs at most itself."""
    try:
        tab.place(backend, bar, page)
    except Exception as error:  # a border: an extension's tab
        if not extension:
            raise
        why = f"{type(error).__name__}: {error}"
        log.exception("the tab of the extension %s cannot be shown", extension)
        backend.extensions.left_out(extension, f"Its tab cannot be shown. {why}")
        gr.HTML(f'<p class="problem" role="alert">{escape(why)}</p>', js_on_load=None, apply_default_css=False)


def mount(app: FastAPI, backend: Backend, path: str = "/", tabs: Tabs | None = None) -> FastAPI:
    """Put the page under `path`; routes of `app` must be there already, or "/" would hide them."""
    tabs = tabs or fill(Table("tabs", key="NAME"))
    gradio_errors.keep_short()
    of_the_api, blocks = assets.of_the_api(), build(backend, tabs)
    foretold = gradio_assets.Foretold.of(gradio_assets.seen_first(blocks))
    files = assets.collect(tabs, {GRADIO_STYLE: foretold.sheet})
    app.include_router(assets.route(files, of_the_api))
    app.include_router(api_page.route(of_the_api))
    app.include_router(language_files.route(backend))
    app.include_router(share_page.route(backend))
    head, tail = files.head(foretold.head()), foretold.tail(f".{files.folder}/{GRADIO_STYLE}")
    # Behind the guard, which was added before: what these keep is for those who may come so far.
    app.user_middleware += [Middleware(Compression, compresslevel=COMPRESSION),
                            Middleware(gradio_assets.KeptFiles, path=path),
                            Middleware(page_head.PageHead, path=path, head=head, tail=tail),
                            Middleware(RootPath)]
    return gr.mount_gradio_app(
        app, blocks, path=path, theme=theme.theme(), footer_links=[], run_history=False, show_error=False,
        ssr_mode=False,
    )
