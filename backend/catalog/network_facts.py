"""What a network's file tells of itself for people: rank, trainer's words, hash. Labels are the page's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from backend.catalog.families import FAMILIES
from backend.catalog.headers import Header, read_header
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.catalog.network_hashes import hash_told
from backend.errors import CheckpointError

TOLD = {
    "Base model": ("modelspec.architecture", "ss_sd_model_name", "ss_base_model_version"),
    "Title": ("modelspec.title",),
    "Author": ("modelspec.author",),
    "License": ("modelspec.license",),
    "How to use it": ("modelspec.usage_hint",),
    "Calls for": ("modelspec.trigger_phrase",),
    "Trained with": ("ss_network_module",),
    "Resolution": ("modelspec.resolution", "ss_resolution"),
    "Pictures": ("ss_num_train_images",),
    "Epochs": ("ss_num_epochs", "ss_epoch"),
    "Steps": ("ss_steps", "ss_max_train_steps"),
}
"""What a line is about -> the keys of a safetensors header that may tell it, the first one that does."""

MAX_FACT = 300                  # characters of a line
_SAID_OF_NOTHING = ("", "None", "null")
_RANKED = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight")


def file_facts(file: ModelFile) -> dict[str, str]:
    """Lines by what they are about; what the file does not tell has none. Never raises."""
    alias = str(file.facts.get("alias", ""))
    lines = {"Family": FAMILIES[file.family].label if file.family in FAMILIES else "",
             "Also called": alias if alias != file.key else "",
             "Vectors": str(file.facts.get("vectors", "")),
             "Hash": file.short_hash or hash_told(str(file.facts.get("model_hash", "")))}
    path = Path(file.path)
    if file.kind != CHECKPOINT and path.is_file():
        lines = dict(_of_header(path)) | lines
    return {about: line for about, line in lines.items() if line}


def _of_header(path: Path) -> Iterator[tuple[str, str]]:
    try:
        header = read_header(path)
    except CheckpointError:
        return
    yield "Rank", _rank(header)
    for about, keys in TOLD.items():
        line = _first(header.metadata, keys)
        yield about, " × ".join(re.findall(r"\d+", line)) if about == "Resolution" else line


def _rank(header: Header) -> str:
    """The rank of most of its layers; "" for a kind that has none."""
    ranks = Counter(shape[0] for name, shape in header.shapes.items() if name.endswith(_RANKED) and shape)
    return str(ranks.most_common(1)[0][0]) if ranks else ""


def _first(told: Mapping[str, str], keys: tuple[str, ...]) -> str:
    texts = (str(told.get(key, "")).strip() for key in keys)
    return next((text[:MAX_FACT] for text in texts if text not in _SAID_OF_NOTHING), "")
