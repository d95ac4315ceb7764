"""AUTOMATIC1111's options for pictures in words, and what each may be: wrong ones are refused when they are set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.errors import Problem
from backend.request.loose_values import number, truth

BEAMS, SHORTEST, LONGEST = "interrogate_clip_num_beams", "interrogate_clip_min_length", "interrogate_clip_max_length"
THRESHOLD = "interrogate_deepbooru_score_threshold"
RANKS, FILTER = "interrogate_return_ranks", "deepbooru_filter_tags"
SORTED, SPACES, ESCAPED = "deepbooru_sort_alpha", "deepbooru_use_spaces", "deepbooru_escape"
BOUNDS: Mapping[str, tuple[int, int]] = {BEAMS: (1, 16), SHORTEST: (1, 128), LONGEST: (1, 256), THRESHOLD: (0, 1)}
SWITCHES = (RANKS, SORTED, SPACES, ESCAPED)


def problems(name: str, value: Any) -> list[Problem]:
    """What is wrong with the value of an option; nothing for one that is not among these."""
    if name in BOUNDS:
        low, high = BOUNDS[name]
        found = number(value)
        fits = found is not None and low <= found <= high
        return [] if fits else [Problem(f"must be between {low} and {high}", name)]
    if name in SWITCHES and truth(value) is None:
        return [Problem("must be true or false", name)]
    if name == FILTER and value is not None and not isinstance(value, str):
        return [Problem("must be text: tags with commas between them", name)]
    return []
