"""The headers of a webhook, as https://www.standardwebhooks.com describes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64      # bytes of a secret


def headers(message: str, moment: int, body: bytes, secret: str) -> dict[str, str]:
    """`message` stays the same in later attempts, `moment` is that of this one, in seconds since 1970.

    With "" as secret there is no signature.
    """
    told = {"webhook-id": message, "webhook-timestamp": str(moment)}
    if key := key_of(secret):
        signed = hmac.new(key, f"{message}.{moment}.".encode() + body, hashlib.sha256).digest()
        told["webhook-signature"] = "v1," + base64.b64encode(signed).decode()
    return told


def key_of(secret: str) -> bytes:
    """The bytes that sign; b"" for "". ValueError for what is no secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b"?"
    if secret and not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"must be {PREFIX} and {SHORTEST} to {LONGEST} random bytes in base64")
    return key
