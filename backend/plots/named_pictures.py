"""Values of an axis that are pictures: the id of an upload, with a name of its own in front of it.

    lighthouse=4a39917c...      shown as "lighthouse"
    4a39917c...                 shown as "picture 4a39917c"
    two=4a39917c...+77b01e5c... two pictures, where a field takes several
"""

from __future__ import annotations

from typing import Any

from backend.plots.axis import shown
from backend.request.field import PICTURE_ID

LONGEST = 80        # letters of a name
AND = "+"
TOLD = 8            # letters of an id in the place of a name


def named_picture(value: Any, several: bool = False) -> tuple[str, str]:
    """(name, id) of what was typed, or ids joined by +. Raises ValueError: the rest of a sentence that begins with it.

    Whether there is such an upload is asked where the request is checked.
    """
    name, _, picture = str(value).rpartition("=")
    picture = "".join(picture.split())
    if not all(map(PICTURE_ID.fullmatch, picture.split(AND) if several else [picture])):
        raise ValueError("must be the id of a picture that was sent to Easel before, with or without name= in front")
    return " ".join(name.split())[:LONGEST] or f"picture {picture[:TOLD]}", picture


def shown_picture(value: Any) -> str:
    """The name of a value, or what was typed where that is none."""
    return value[0] if isinstance(value, tuple) else shown(value)
