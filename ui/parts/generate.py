"""Generate, Interrupt and Skip: what is sent of a form, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import gradio as gr

from backend import Backend, Door, UserError, form_sizes
from ui.current_user import door
from ui.fields import Form
from ui.script_calls import QUIET, script

Complete = Callable[[Door, dict[str, Any]], dict[str, Any]]     # values -> values; may raise UserError


def buttons(form: Form, backend: Backend) -> gr.Button:
    """Generate, Interrupt and Skip; returns the first."""
    generate = gr.Button("Generate", variant="primary", elem_id=f"{form.tab}_generate", elem_classes=["generate"])
    with gr.Row(elem_classes=["stops"]):
        interrupt = gr.Button("Interrupt", elem_id=f"{form.tab}_interrupt", min_width=60)
        skip = gr.Button("Skip", elem_id=f"{form.tab}_skip", min_width=60)
    interrupt.click(_acting(backend, lambda door: door.interrupt()), trigger_mode="multiple", **QUIET)
    skip.click(_acting(backend, lambda door: door.skip()), trigger_mode="multiple", **QUIET)
    return generate


def wire_generate(generate: gr.Button, form: Form, backend: Backend, complete: Complete, before: str | None) -> None:
    """Every click lands, also while earlier ones are on their way; the answer comes at once.

    `before` is a script that the form's values pass first, `complete` what makes fields of them on the server.
    """
    answer = gr.JSON(visible=False)
    sent = script(f"sent('{form.tab}', {form.names}, values, {before or 'null'})", "...values")
    generate.click(_submitting(backend, complete), outputs=[answer], inputs_kwargs=form.components, js=sent,
                   trigger_mode="multiple", concurrency_limit=None, **QUIET).then(
        fn=None, inputs=[answer], js=script(f"form('{form.tab}').answer(answer)", "answer"))


def as_it_is(door: Door, values: dict[str, Any]) -> dict[str, Any]:
    """The `Complete` of a tab whose form has all that a request needs."""
    return values


def _submitting(backend: Backend, complete: Complete) -> Callable[..., dict[str, Any]]:
    def submit(request: gr.Request, **values: Any) -> dict[str, Any]:
        try:
            theirs = door(backend, request)
            asked = complete(theirs, values)
            job = theirs.submit(asked)
            return {"job": job.id, "notes": list(job.notes), "sizes": form_sizes(asked, job.request)}
        except UserError as error:
            return {"problems": [asdict(problem) for problem in error.problems]}

    return submit


def _acting(backend: Backend, verb: Callable[[Door], None]) -> Callable[[gr.Request], None]:
    def act(request: gr.Request) -> None:
        verb(door(backend, request))

    return act
