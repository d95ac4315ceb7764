"""Secrets that whoever holds them may use: made at random, and kept as hashes only.

They are as long as a key, so a fast hash is enough, and nobody has to be slowed down who guesses.
"""

from __future__ import annotations

import hashlib
import secrets

LENGTH = 32             # bytes


def new_secret(kind: str = "") -> str:
    """A secret that can stand in an address or a header; `kind` begins it."""
    return f"{kind}{secrets.token_urlsafe(LENGTH)}"


def new_id() -> str:
    """A public name for what a secret opens."""
    return secrets.token_hex(8)


def digest(secret: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
