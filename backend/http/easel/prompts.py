"""The page's helpers around the prompt: styles, the prompts used before, and what may be typed next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from backend.http.dependencies import FrontDoor
from backend.prompt_library.autocomplete import Kind
from backend.prompt_library.styles_csv import Style
from backend.request.request import Request

Text = Annotated[str, Body(embed=True)]
router = APIRouter(prefix="/easel")


@router.get("/styles")
def styles(door: FrontDoor) -> dict[str, Any]:
    """The caller's styles and everybody's (`shared`), and a sentence for each file of them that cannot be read."""
    library = door.prompt_library
    return {"styles": [asdict(style) for style in library.styles()], "problems": library.style_problems()}


@router.post("/styles")
def save(
    door: FrontDoor, name: Text, prompt: Text = "", negative_prompt: Text = "", was: Text = ""
) -> dict[str, Any]:
    """Keeps a new style, or changes the one called `was`; all styles then."""
    door.prompt_library.save_style(Style(name, prompt, negative_prompt), was)
    return styles(door)


@router.post("/styles/delete")
def delete(door: FrontDoor, name: Text) -> dict[str, Any]:
    """Deletes a style of the caller's own; all styles then."""
    door.prompt_library.delete_style(name)
    return styles(door)


@router.post("/styles/apply")
def apply(
    door: FrontDoor, styles: Annotated[list[str], Body(max_length=1000)], prompt: Text = "",
    negative_prompt: Text = "",
) -> dict[str, str]:
    """Both prompts with the styles merged in."""
    both = door.prompt_library.apply(styles, prompt, negative_prompt)
    return dict(zip(("prompt", "negative_prompt"), both, strict=True))


@router.get("/prompts")
def used(
    door: FrontDoor, q: Annotated[str, Query(max_length=1000)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """The prompts of the caller's jobs, each pair once, newest first; with every word of `q`."""
    found = door.prompt_library.used(q, limit)
    return {"prompts": [{**asdict(one), "used": one.used.isoformat()} for one in found]}


@router.post("/prompts/count")
def count(door: FrontDoor, payload: dict[str, Any]) -> dict[str, int]:
    """How many pictures a job with these field values would make."""
    return {"pictures": door.prompt_library.picture_count(Request.parse(payload))}


@router.get("/complete")
def complete(
    door: FrontDoor, text: Annotated[str, Query(max_length=200)] = "", kind: Kind = "word"
) -> dict[str, Any]:
    """What may be meant by the last words, by what follows `<lora:`, or by what follows `__`.

    `text` in the answer is the end of the text that a suggestion's `insert` takes the place of.
    """
    end, found = door.prompt_library.complete(text, kind)
    return {"text": end, "suggestions": [asdict(one) for one in found]}
