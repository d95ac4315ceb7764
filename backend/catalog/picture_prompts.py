"""What IP-Adapters and the picture towers of CLIP tell of themselves, and which of them go together."""

from __future__ import annotations

from backend.catalog.adapters import family_of_words, is_instant_id, is_ip_adapter, shapes_of_network
from backend.catalog.description import Description
from backend.catalog.headers import Shapes
from backend.catalog.model_files import Found

PATCHES = "vision_model.embeddings.patch_embedding.weight"
PROJECTION = "visual_projection.weight"
FACE = "image_proj.perceiver_resampler."


def describe_ip_adapter(found: Found) -> Description | None:
    """Which layer of a tower it looks at, `layer`, how `wide` that is, and the shapes of its `keys` in each attention.

    None for InstantID's. Raises CheckpointError.
    """
    shapes = found.header.shapes
    if is_instant_id(shapes):
        return None
    if not is_ip_adapter(shapes):
        return Description(problem="its tensors are those of no IP-Adapter")
    facts = _looks_at(shapes)
    keys = sorted(shape for name, shape in shapes.items() if name.endswith(".to_k_ip.weight"))
    problem = "" if facts else "it looks at faces (FaceID), which Easel cannot do yet"
    return Description(family_of_words(shapes), problem, facts=facts | {"keys": tuple(keys)})


def describe_clip_vision(found: Found) -> Description:
    """How wide its last layer but one is, `inner`, and its `embedding`. Raises CheckpointError."""
    shapes = shapes_of_network(found.path) if found.is_folder else found.header.shapes
    if PATCHES not in shapes or PROJECTION not in shapes:
        return Description(problem="it has no picture tower of CLIP in transformers' names")
    return Description(facts={"inner": shapes[PATCHES][0], "embedding": shapes[PROJECTION][0]})


def _looks_at(shapes: Shapes) -> dict[str, object]:
    """Nothing for those that look at faces."""
    first = {name: shapes[f"image_proj.{name}"] for name in ("proj.weight", "proj.0.weight", "proj_in.weight")
             if f"image_proj.{name}" in shapes}
    if any(name.startswith(FACE) or "_lora." in name for name in shapes):
        return {}
    if "proj.weight" in first:
        return {"layer": "embedding", "wide": first["proj.weight"][1]}
    if "proj_in.weight" in first:
        return {"layer": "inner", "wide": first["proj_in.weight"][1]}
    if "proj.0.weight" in first and "image_proj.proj.3.weight" in shapes:
        return {"layer": "inner", "wide": first["proj.0.weight"][1]}
    return {}
