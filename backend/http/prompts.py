"""The page's helpers around the prompt: styles, the prompts used before, and what may be typed next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from backend.http.dependencies import FrontDoor, Owner
from backend.prompt_library.autocomplete import Kind
from backend.prompt_library.styles_csv import Style

Text = Annotated[str, Body(embed=True)]
router = APIRouter(prefix="/easel")


@router.get("/styles")
def styles(backend: FrontDoor, owner: Owner) -> dict[str, Any]:
    """The caller's styles and everybody's (`shared`)."""
    return {"styles": [asdict(style) for style in backend.prompt_library.styles(owner)]}


@router.post("/styles")
def save(
    backend: FrontDoor, owner: Owner, name: Text, prompt: Text = "", negative_prompt: Text = "", was: Text = ""
) -> dict[str, Any]:
    """Keeps a new style, or changes the one called `was`; all styles then."""
    backend.prompt_library.save_style(Style(name, prompt, negative_prompt), owner, was)
    return styles(backend, owner)


@router.post("/styles/delete")
def delete(backend: FrontDoor, owner: Owner, name: Text) -> dict[str, Any]:
    """Deletes a style of the caller's own; all styles then."""
    backend.prompt_library.delete_style(name, owner)
    return styles(backend, owner)


@router.post("/styles/apply")
def apply(
    backend: FrontDoor, owner: Owner, styles: Annotated[list[str], Body(max_length=1000)], prompt: Text = "",
    negative_prompt: Text = "",
) -> dict[str, str]:
    """Both prompts with the styles merged in."""
    both = backend.prompt_library.apply(styles, prompt, negative_prompt, owner)
    return dict(zip(("prompt", "negative_prompt"), both, strict=True))


@router.get("/prompts")
def used(
    backend: FrontDoor, owner: Owner, q: Annotated[str, Query(max_length=1000)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """The prompts of the caller's jobs, each pair once, newest first; with every word of `q`."""
    found = backend.prompt_library.used(owner, q, limit)
    return {"prompts": [{**asdict(one), "used": one.used.isoformat()} for one in found]}


@router.get("/complete")
def complete(
    backend: FrontDoor, owner: Owner, text: Annotated[str, Query(max_length=200)] = "", kind: Kind = "word"
) -> dict[str, Any]:
    """What may be meant by the last words, by what follows `<lora:`, or by what follows `__`.

    `text` in the answer is the end of the text that a suggestion's `insert` takes the place of.
    """
    end, found = backend.prompt_library.complete(text, kind, owner)
    return {"text": end, "suggestions": [asdict(one) for one in found]}
