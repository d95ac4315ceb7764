"""The words of face swaps: whose face is put in, where, and which faces it replaces."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from backend.errors import Problem
from backend.request.choices import DRAW, NO_UPSCALER

EVERYBODY, FEMALE, MALE = GENDERS = ("Everybody", "Female", "Male")
ALL = "all"
RESULT, START, BOTH = PLACES = ("Finished picture", "Picture to start from", "Both")
NO_FACE_MODEL = "None"
PICTURED = ("face_swap", "face_swap_pictures")
SOURCES = {"face_swap": "", "face_swap_model": NO_FACE_MODEL, "face_swap_pictures": ()}
"""The fields that say whose face is put in, and what they are where nobody's is."""
ONE, EACH = FACE_CHOICES = ("One of them, by the seed", "Each in a picture of its own")
MOST_PICTURES = 100
OF_RESULTS = ("process", *SOURCES, "face_swap_choice", "face_swap_keep_original", "face_swap_place")
"""The fields that decide how many pictures are kept of one that is drawn."""
_NUMBERS = re.compile(r"\s*\d{1,2}\s*(,\s*\d{1,2}\s*)*")


def swaps(request: Any) -> bool:
    """Whether a request replaces faces."""
    return bool(request.face_swap or request.face_swap_pictures) or request.face_swap_model != NO_FACE_MODEL


def swaps_result(request: Any) -> bool:
    """Whether it does so in what is drawn."""
    return swaps(request) and request.face_swap_place != START


def swaps_start(request: Any) -> bool:
    """Whether it does so in the picture to start from."""
    return swaps(request) and request.face_swap_place != RESULT and bool(request.init_image)


def swapped_size(request: Any, size: tuple[int, int]) -> tuple[int, int]:
    """How large a picture of this size gets where it is enlarged after the swap."""
    by = request.face_swap_upscale_by
    return max(round(size[0] * by), 1), max(round(size[1] * by), 1)


def results(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each picture that is kept of one that was drawn, or given to Extras, the field values by which it alone is
    made.

    First what was drawn, if that is kept, then one for each face that is put in. `found`: values by field name.
    """
    if all(found[name] == nobody for name, nobody in SOURCES.items()):
        return [{}]
    pictures = found["face_swap_pictures"]
    faces = [{"face_swap": each, "face_swap_pictures": ()} for each in pictures]
    whole = {"face_swap_keep_original": False}
    swapped = faces if pictures and found["face_swap_choice"] == EACH else [{}]
    if found["process"] != DRAW:
        return swapped
    if not found["face_swap_keep_original"] or found["face_swap_place"] == START:
        return [each | whole for each in swapped] if len(swapped) > 1 else swapped
    unchanged = {"face_swap_place": START} if found["face_swap_place"] == BOTH else SOURCES
    return [unchanged | whole | {"face_restoration": "None"}, *(each | whole for each in swapped)]


def by_seed(pictures: tuple[str, ...], *seeds: int | str) -> str:
    """One of the pictures, the same for the same seeds; what Extras works on is a seed as well."""
    return random.Random(" ".join(map(str, seeds))).choice(pictures)


def wrong_sources(found: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not go together with a face swap, or within it."""
    given = [name for name, nobody in SOURCES.items() if found[name] != nobody]
    for name in given[1:]:
        yield Problem("cannot be used together with another source of the face; leave one of them out", name)
    if found["process"] != DRAW:
        if given and NO_UPSCALER not in (found["face_swap_upscaler"], found["upscaler_1"]):
            yield Problem("cannot be used together with Extras' own upscaler; leave one of them out",
                          "face_swap_upscaler")
        return
    several = found["face_swap_choice"] == EACH and len(found["face_swap_pictures"]) > 1
    if several and found["face_swap_place"] != RESULT:
        yield Problem("can only be put into the finished picture, each in one of its own", "face_swap_place")
    if len(results(found)) > 1 and found["loopback_loops"] > 1 and found["init_image"]:
        field = "face_swap_keep_original" if found["face_swap_keep_original"] else "face_swap_choice"
        yield Problem("cannot be used with loopback, whose rounds have one picture each", field)


def wrong_numbers(sources: str, targets: str) -> Iterator[Problem]:
    """What is wrong with the numbers of the faces that are put in, and of those that they replace."""
    try:
        replaced = numbers(targets)
    except ValueError as error:
        yield Problem(str(error), "face_swap_targets")
        return
    if not sources.strip():
        return
    if not _NUMBERS.fullmatch(sources):
        yield Problem("must be numbers of faces such as 1, 0, or empty", "face_swap_sources")
    elif replaced is None:
        yield Problem("needs the numbers of the faces that it replaces", "face_swap_sources")
    elif len(sources.split(",")) != len(replaced):
        yield Problem(f"has {len(sources.split(','))} numbers for {len(replaced)} faces that it replaces",
                      "face_swap_sources")


def numbers(text: str) -> list[int] | None:
    """The faces that a text such as "0, 2" names, counted from 0; None for all of them. Raises ValueError."""
    if text.strip().casefold() in ("", ALL):
        return None
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"must be numbers of faces such as 0, 2, or {ALL}")
    return [int(part) for part in text.split(",")]
