"""The programs whose pictures are known, and what their settings are in AUTOMATIC1111's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.image.foreign_metadata.comfyui import is_by_comfyui, nothing
from backend.image.foreign_metadata.draw_things import from_draw_things, is_by_draw_things
from backend.image.foreign_metadata.easy_diffusion import from_easy_diffusion, is_by_easy_diffusion
from backend.image.foreign_metadata.fooocus import from_fooocus, is_by_fooocus
from backend.image.foreign_metadata.invokeai import from_invokeai, is_by_invokeai
from backend.image.foreign_metadata.novelai import from_novelai, is_by_novelai
from backend.image.foreign_metadata.swarmui import from_swarmui, is_by_swarmui
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, SEGMENT, Texts, is_json

COMFYUI, UNKNOWN = "ComfyUI", "another program"
BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError)     # what JSON of another form raises


@dataclass(frozen=True, slots=True)
class Program:
    """`made` says whether texts are its own; `text` tells its settings, "" for what cannot be read."""

    name: str
    made: Callable[[Texts], bool]
    text: Callable[[Texts], str]


PROGRAMS = (
    Program("NovelAI", is_by_novelai, from_novelai),
    Program("SwarmUI", is_by_swarmui, from_swarmui),
    Program("Fooocus", is_by_fooocus, from_fooocus),
    Program("InvokeAI", is_by_invokeai, from_invokeai),
    Program("Draw Things", is_by_draw_things, from_draw_things),
    Program("Easy Diffusion", is_by_easy_diffusion, from_easy_diffusion),
    Program(COMFYUI, is_by_comfyui, nothing),
)
"""The first whose picture it is counts."""


@dataclass(frozen=True, slots=True)
class ForeignSettings:
    """Whose settings a picture holds, "" for nobody's, and their text, "" for what cannot be read."""

    program: str = ""
    text: str = ""


def foreign(texts: Texts) -> ForeignSettings:
    """What a picture without a settings text in AUTOMATIC1111's format says. Never raises."""
    for program in PROGRAMS:
        if program.made(texts):
            try:
                return ForeignSettings(program.name, program.text(texts))
            except BROKEN:
                return ForeignSettings(program.name)
    unknown = any(is_json(texts[place]) for place in (PARAMETERS, COMMENT, SEGMENT))
    return ForeignSettings(UNKNOWN if unknown else "")
