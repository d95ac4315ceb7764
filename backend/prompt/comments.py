"""Comments in prompts: from a # to the end of its line, as AUTOMATIC1111 1.10 has them."""

from __future__ import annotations

import re

MARK = "#"
_WHOLE_LINE = re.compile(r"(^|\n)#[^\n]*(\n|$)")
_END_OF_LINE = re.compile(r"[ \t]*#[^\n]*(\n|$)")


def has_comments(text: str) -> bool:
    return MARK in text


def without_comments(text: str) -> str:
    """The text as it is drawn. AUTOMATIC1111's two steps, each of which leaves a line end in the place of a comment.

    White space before it and at the ends, which nothing reads, goes too.
    """
    return _END_OF_LINE.sub("\n", _WHOLE_LINE.sub("\n", text)).strip() if has_comments(text) else text
