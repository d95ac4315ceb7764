"""What a picture of any program was made with that is not here, or that Easel cannot use: a sentence for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import EMBEDDING, LORA
from backend.errors import NotFound
from backend.image.foreign_metadata.programs import COMFYUI
from backend.image.infotext import Reading
from backend.image.infotext.entries import entries
from backend.image.read import Metadata
from backend.prompt.grammar import networks
from backend.request.request import FIELDS

LORAS = ("lora", "lyco")        # AUTOMATIC1111 reads both alike
WORKFLOW = ("This picture was made by ComfyUI and carries only its workflow, which Easel does not read: "
            "there are no settings to take over. The picture itself can be sent on.")


def missing(metadata: Metadata, found: Reading, values: Mapping[str, Any], catalog: ModelCatalog) -> Iterator[str]:
    """`found` is what the text says, `values` what of it a request here can have."""
    if metadata.program:
        yield _whose(metadata)
    if not metadata.infotext:
        return
    known = found.values.get("checkpoint")
    if known and "checkpoint" not in values:
        yield _absent("checkpoint", found.model or known, known if found.model else "")
    for field in FIELDS.values():
        if field.kind == "second_checkpoint" and field.name in found.values and field.name not in values:
            yield _absent("checkpoint", found.values[field.name], "")
    said = entries(metadata.infotext)
    yield from _files(LORA, {**_loras(values), **hashes(said.get("Lora hashes", ""))}, catalog)
    yield from _files(EMBEDDING, hashes(said.get("TI hashes", "")), catalog)
    used = [(one.kind, one.positional[0]) for one in _networks(values) if one.kind not in LORAS]
    for kind, name in dict.fromkeys(used):
        yield f"The {kind} {name} was used; Easel cannot load such networks yet."
    if found.dropped:
        yield f"Not understood: {', '.join(found.dropped)}."


def _whose(metadata: Metadata) -> str:
    if metadata.infotext:
        return f"These settings were read from {metadata.program}'s own; what Easel has no like for was left out."
    if metadata.program == COMFYUI:
        return WORKFLOW
    return f"This picture holds settings by {metadata.program} in a form that Easel does not read."


def hashes(text: str) -> dict[str, str]:
    """Name -> hash, from the way AUTOMATIC1111 lists them: `add_detail: 7c6bad76eb54, other: 0123456789ab`."""
    pairs = (part.rpartition(":") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _networks(values: Mapping[str, Any]) -> list[Any]:
    texts = (values.get(name, "") for name in ("prompt", "hr_prompt"))
    return [one for text in texts for one in networks(text)[1] if one.positional]


def _loras(values: Mapping[str, Any]) -> dict[str, str]:
    return {one.positional[0]: "" for one in _networks(values) if one.kind in LORAS}


def _files(kind: str, used: Mapping[str, str], catalog: ModelCatalog) -> Iterator[str]:
    row = catalog.kinds[kind]
    for name, digest in used.items():
        if not _is_here(kind, name, catalog) and not _is_here(kind, digest, catalog):
            yield _absent(row.label, name, digest)
        elif not row.usable:
            yield f"The {row.label} {name} was used; Easel cannot load {row.label}s yet."


def _is_here(kind: str, name: str, catalog: ModelCatalog) -> bool:
    try:
        return bool(name and catalog.find(kind, name))
    except NotFound:
        return False


def _absent(what: str, name: str, digest: str) -> str:
    known = f" [{digest}]" if digest and digest != name else ""
    return f"The {what} {name}{known} is not in the models folders."
