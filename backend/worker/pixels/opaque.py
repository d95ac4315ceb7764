"""Pictures that are seen through, as they are looked at."""

from __future__ import annotations

from PIL import Image


def opaque(picture: Image.Image) -> Image.Image:
    """RGB; what is see-through lies on white."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
