"""What a prompt says in plain words, for networks that compare a picture with a text."""

from __future__ import annotations

import re

from backend.prompt.comments import without_comments
from backend.prompt.grammar import BREAK, networks, parse_weights, split_and
from backend.prompt.prompt_editing import timeline

_SPACE = re.compile(r"\s+")
_COMMAS = re.compile(r"(\s*,)+\s*")


def plain_text(prompt: str, steps: int) -> str:
    """The prompt at the end of its timeline without networks, weights, brackets and comments.

    Parts joined by AND or BREAK stand one after the other; parts with a weight of 0 or less are left out.
    """
    last = timeline(without_comments(prompt), max(steps, 1))[-1][1]
    parts = [_bare(text) for text, weight in split_and(last) if weight > 0]
    joined = _COMMAS.sub(", ", _SPACE.sub(" ", ", ".join(filter(None, parts))))
    return joined.strip(" ,")


def _bare(part: str) -> str:
    pieces = parse_weights(networks(part)[0])
    return "".join(", " if piece == BREAK[0] else piece for piece, _ in pieces).strip(" ,")
