"""What a picture of any program was made with that is not here, or that Easel cannot use: a sentence for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backend.catalog.guide_files import KINDS
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import EMBEDDING, HYPERNETWORK, LORA, VAE, ModelFile
from backend.catalog.network_hashes import listed_name
from backend.catalog.network_problems import FILE_KINDS, embedding_name
from backend.errors import CheckpointError, NotFound
from backend.image.foreign_metadata.programs import COMFYUI
from backend.image.infotext import Reading
from backend.image.infotext.entries import entries
from backend.image.infotext.unsupported import unmet_sentence
from backend.image.read import Metadata
from backend.prompt.grammar import networks
from backend.request.choices import VAES
from backend.request.guide_unit import NO_MODEL
from backend.request.request import FIELDS

_LORA = re.compile(r"<(?P<kind>lora|lyco):(?P<name>[^:<>]+)(?P<rest>[:>])")
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
    yield from _files(LORA, _hashed(_named(values, LORA), hashes(said.get("Lora hashes", ""))), catalog)
    yield from _files(EMBEDDING, hashes(said.get("TI hashes", "")), catalog)
    named = str(values.get("vae", ""))
    yield from _files(VAE, {} if named in ("", *VAES) else {named: said.get("VAE hash", "")}, catalog)
    yield from _files(HYPERNETWORK, _named(values, HYPERNETWORK), catalog)
    yield from _guides(values, catalog)
    used = [(one.kind, one.positional[0]) for one in _networks(values) if one.kind not in FILE_KINDS]
    for kind, name in dict.fromkeys(used):
        yield f"The {kind} {name} was used; Easel knows no networks of this kind."
    if sentence := unmet_sentence(metadata.infotext):
        yield sentence
    if found.dropped:
        yield f"Not understood: {', '.join(_with_value(key, said) for key in found.dropped)}."


def _with_value(key: str, said: Mapping[str, str]) -> str:
    return f"{key} ({said[key][:60]})" if said.get(key) else key


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


def _named(values: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Name -> "", each once."""
    return {one.positional[0].strip(): "" for one in _networks(values) if FILE_KINDS.get(one.kind) == kind}


def _hashed(names: Iterable[str], told: Mapping[str, str]) -> dict[str, str]:
    """Name -> hash for all of both: a prompt has the whole names, the list those without some signs."""
    listed = {listed_name(name) for name in names}
    own = {name: told.get(listed_name(name), "") for name in names}
    return own | {name: digest for name, digest in told.items() if name not in listed}


def _files(kind: str, used: Mapping[str, str], catalog: ModelCatalog) -> Iterator[str]:
    label = catalog.kinds[kind].label
    for name, digest in used.items():
        found = _here(kind, name, catalog)
        if not found and not _here(kind, digest, catalog):
            yield _absent(label, name, digest)
        elif found and digest and not (_hash(found, catalog) or digest).startswith(digest):
            yield f"The {label} {name} here is another file than the one that was used [{digest}]."


def _guides(values: Mapping[str, Any], catalog: ModelCatalog) -> Iterator[str]:
    for name in dict.fromkeys(unit.model for unit in values.get("guides", ()) if unit.model != NO_MODEL):
        if not any(_here(kind, name, catalog) for kind in KINDS):
            yield _absent(catalog.kinds[KINDS[0]].label, name, "")


def _hash(file: ModelFile, catalog: ModelCatalog) -> str:
    try:
        return catalog.hash_of(file)
    except CheckpointError:
        return ""


def with_names_here(text: str, digests: Mapping[str, str], catalog: ModelCatalog) -> str:
    """A prompt whose LoRAs are called as they are here: those that are not here by name, but by their hash."""

    def renamed(match: re.Match[str]) -> str:
        name = match["name"].strip()
        digest = digests.get(listed_name(name), "")
        found = None if _here(LORA, name, catalog) else _here(LORA, digest, catalog)
        return f"<{match['kind']}:{found.key}{match['rest']}" if found else match[0]

    return _LORA.sub(renamed, text)


def with_words_here(text: str, digests: Mapping[str, str], catalog: ModelCatalog) -> str:
    """A text whose embeddings are called as they are here: those that are not here by name, but by their hash."""
    for name, digest in digests.items():
        if not _here(EMBEDDING, name, catalog) and (found := _here(EMBEDDING, digest, catalog)):
            word = embedding_name(found)
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", lambda _, word=word: word, text, flags=re.IGNORECASE)
    return text


def _here(kind: str, name: str, catalog: ModelCatalog) -> ModelFile | None:
    try:
        return catalog.find(kind, name) if name else None
    except NotFound:
        return None


def _absent(what: str, name: str, digest: str) -> str:
    known = f" [{digest}]" if digest and digest != name else ""
    return f"The {what} {name}{known} is not in the models folders."
