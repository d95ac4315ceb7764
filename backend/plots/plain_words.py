"""Words of a prompt in which nothing is meant: no weights, networks, wildcards, keywords."""

from __future__ import annotations

import re

LONGEST = 1000          # characters; what is longer may be too long for a prompt
_WORDS = re.compile(r"[\w\s,.;'\"!?-]*")
_MEANT = re.compile(r"__|\b(AND|BREAK)\b|--")


def is_plain(text: str) -> bool:
    """Whether a plot may take the text for any other such text where it asks what can be wrong and what it costs."""
    return len(text) <= LONGEST and bool(_WORDS.fullmatch(text)) and not _MEANT.search(text)
