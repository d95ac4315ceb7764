"""The hashes by which pictures name LoRAs, as AUTOMATIC1111 computes and shortens them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from backend.errors import CheckpointError
from backend.files.regular_files import open_regular

SHORT = 12                  # digits that are written
_BETWEEN = str.maketrans("", "", ":,")
_BLOCK = 1 << 20
_DIGITS = re.compile("[0-9a-f]{12,64}")


def listed_name(name: str) -> str:
    """How a name stands in AUTOMATIC1111's lists `name: hash, other: hash`: without the signs between them."""
    return name.translate(_BETWEEN)


def hash_told(told: str) -> str:
    """The short form of the hash that a trainer wrote into the file; "" for what is none."""
    return told[:SHORT] if _DIGITS.fullmatch(told) else ""


def addnet_hash(path: Path) -> str:
    """SHA-256 of a .safetensors file behind its header, of other files as a whole, hexadecimal.

    The same weights have the same hash whatever is written into the header. Raises CheckpointError.
    """
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            if path.suffix.lower() == ".safetensors":
                file.seek(8 + int.from_bytes(file.read(8), "little"))
            while block := file.read(_BLOCK):
                digest.update(block)
    except (OSError, OverflowError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    return digest.hexdigest()
