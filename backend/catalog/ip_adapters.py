"""What IP-Adapters and the picture towers of CLIP tell of themselves, and which of them go together."""

from __future__ import annotations

import re

from backend.catalog.adapters import family_of_words, is_instant_id, is_ip_adapter, shapes_of_network
from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.headers import Shapes

PATCHES = "vision_model.embeddings.patch_embedding.weight"
PROJECTION = "visual_projection.weight"
FACE_AND_PICTURE = "perceiver_resampler.proj_in.weight"
EMBEDDING, INNER, FACE, FACE_PLUS, RAW_FACE = "embedding", "inner", "face", "face and inner", "raw face"
"""What a picture prompt is made of: CLIP's embedding, its last layer but one, or the identity of a face."""
_SHORTCUT = re.compile(r"plus-?_?v2", re.IGNORECASE)


def describe_ip_adapter(found: Found) -> Description | None:
    """What it `sees`; which layer of a tower, and how `wide` that is; the shapes of its `keys` in each attention.

    None for InstantID's. Raises CheckpointError.
    """
    shapes = found.header.shapes
    if is_instant_id(shapes):
        return None
    if not is_ip_adapter(shapes):
        return Description(problem="its tensors are those of no IP-Adapter")
    facts = _sees({name.removeprefix("image_proj."): shape for name, shape in shapes.items()})
    problem = "" if facts else "its projection is of a kind that Easel does not know"
    more = {"shortcut": facts.get("sees") == FACE_PLUS and bool(_SHORTCUT.search(found.stem))}
    return Description(family_of_words(shapes), problem, facts=facts | more | _keys(shapes))


def describe_instant_id(found: Found) -> Description:
    """The shapes of its `keys`. Raises CheckpointError."""
    shapes = found.header.shapes
    if not is_instant_id(shapes):
        return Description(problem="its tensors are not InstantID's")
    return Description(family_of_words(shapes), facts={"sees": RAW_FACE} | _keys(shapes))


def describe_clip_vision(found: Found) -> Description:
    """How wide its last layer but one is, `inner`, and its `embedding`. Raises CheckpointError."""
    shapes = shapes_of_network(found.path) if found.is_folder else found.header.shapes
    if PATCHES not in shapes or PROJECTION not in shapes:
        return Description(problem="it has no picture tower of CLIP in transformers' names")
    return Description(facts={"inner": shapes[PATCHES][0], "embedding": shapes[PROJECTION][0]})


def _keys(shapes: Shapes) -> dict[str, object]:
    return {"keys": tuple(sorted(shape for name, shape in shapes.items() if name.endswith(".to_k_ip.weight")))}


def _sees(shapes: Shapes) -> dict[str, object]:
    """Nothing for what is unknown; `layer` and `wide` are those of the picture tower, where one is needed."""
    if FACE_AND_PICTURE in shapes:
        return {"sees": FACE_PLUS, "layer": INNER, "wide": shapes[FACE_AND_PICTURE][1]}
    if "proj.weight" in shapes:
        return {"sees": EMBEDDING, "layer": EMBEDDING, "wide": shapes["proj.weight"][1]}
    if "proj_in.weight" in shapes:
        return {"sees": INNER, "layer": INNER, "wide": shapes["proj_in.weight"][1]}
    if "proj.0.weight" in shapes and "proj.3.weight" in shapes:
        return {"sees": INNER, "layer": INNER, "wide": shapes["proj.0.weight"][1]}
    return {"sees": FACE} if "proj.0.weight" in shapes and "norm.weight" in shapes else {}
