"""What tells one state of a file from another without reading it, and the hash of what it holds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple, Self

from backend.errors import CheckpointError
from backend.files.regular_files import open_regular

WEIGHTS = (".safetensors", ".bin")      # in a model's folder
PEFT_WEIGHTS, PEFT_SETTINGS = "adapter_model.safetensors", "adapter_config.json"    # one network, as PEFT saves it
_BLOCK = 1 << 20


class Fingerprint(NamedTuple):
    """Size in bytes, time of the last change in ns, and inode: another file under the same name has another.

    Of several files the sum, the last time, and 0; with PEFT's settings beside a file a number that stands for both.
    """

    size: int
    changed: int
    inode: int = 0

    @classmethod
    def of(cls, stat: os.stat_result) -> Self:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def fingerprint(path: Path | str) -> Fingerprint | None:
    """Of a file, or of all weights of a model's folder together; None when there is nothing.

    What PEFT keeps in a file beside its weights changes what they do, and counts with them.
    """
    path = Path(path)
    try:
        found = [Fingerprint.of(file.stat()) for file in weight_files(path)]
    except OSError:
        return None
    if len(found) == 1:
        return _with_settings(found[0], path.with_name(PEFT_SETTINGS)) if path.name == PEFT_WEIGHTS else found[0]
    return Fingerprint(sum(one.size for one in found), max(one.changed for one in found)) if found else None


def _with_settings(weights: Fingerprint, settings: Path) -> Fingerprint:
    try:
        beside = Fingerprint.of(settings.stat())
    except OSError:
        return weights
    return Fingerprint(weights.size, max(weights.changed, beside.changed), hash((*weights, *beside)))


def weight_files(path: Path) -> list[Path]:
    """A single file itself; the weights in the sub-folders of a diffusers folder, sorted; else those in a folder."""
    if not path.is_dir():
        return [path]
    inside = _names(path)
    inner = [file for folder in inside for file in _weights(os.path.join(path, folder))]
    return sorted(map(Path, inner or _weights(path)))


def _weights(folder: str | Path) -> list[str]:
    return [os.path.join(folder, name) for name in _names(folder) if name.endswith(WEIGHTS)]


def _names(folder: str | Path) -> list[str]:
    """None where it is no folder, or cannot be read. Five times as quick as `Path.glob`, at every request."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file, hexadecimal, of which AUTOMATIC1111 shows 10 digits; of a folder, over its weights' hashes.

    Raises CheckpointError when something cannot be read.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            return _file_hash(path)
        return hashlib.sha256("".join(_file_hash(file) for file in weight_files(path)).encode()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
