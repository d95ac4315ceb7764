"""Which embeddings a text may mean: those whose name stands in it, in whatever case. Tokens decide in the end."""

from __future__ import annotations

from collections.abc import Iterable


def plain(text: str) -> str:
    """Texts that tokenizers read alike: white space is one, upper and lower case are one."""
    return " ".join(text.lower().split())


def mentioned(names: Iterable[str], text: str) -> list[str]:
    """The names that stand in a text, in their order."""
    there = plain(text)
    return [name for name in names if (wanted := plain(name)) and wanted in there]
