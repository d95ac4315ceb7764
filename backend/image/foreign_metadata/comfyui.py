"""ComfyUI: its workflow as JSON, which is a program and no settings. Which nodes draw cannot be told from outside."""

from __future__ import annotations

from backend.image.foreign_metadata.texts import Texts, json_object

_IN_EXIF = ("prompt:{", "workflow:{")       # a WebP's texts, each behind its name


def is_by_comfyui(texts: Texts) -> bool:
    in_chunks = any(json_object(texts[place]) for place in ("prompt", "workflow"))
    return in_chunks or any(text.startswith(_IN_EXIF) for text in texts.by_place.values())


def nothing(texts: Texts) -> str:
    return ""
