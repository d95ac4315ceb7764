"""What networks on pixels tell of themselves: upscalers and face restorers."""

from __future__ import annotations

import re

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.headers import Shapes
from backend.request.choices import CODEFORMER, GFPGAN

# The files behind AUTOMATIC1111's own names.
ALIASES = {
    "r-esrgan 4x+": "RealESRGAN_x4plus", "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan 2x+": "RealESRGAN_x2plus", "r-esrgan general 4xv3": "realesr-general-x4v3",
    "r-esrgan general wdn 4xv3": "realesr-general-wdn-x4v3", "r-esrgan animevideo": "realesr-animevideov3",
    "dat x2": "DAT_x2", "dat x3": "DAT_x3", "dat x4": "DAT_x4", "scunet gan": "scunet_color_real_gan",
    "scunet psnr": "scunet_color_real_psnr",
    "swinir 4x": "SwinIR_4x",
}
_SCALE_IN_NAME = re.compile(r"(?<![\d.])(\d)x|x(\d)(?![\d])", re.IGNORECASE)


def describe_upscaler(found: Found) -> Description | None:
    """`scale`: how much it enlarges, 0 where nothing tells that; None for face restorers. Raises CheckpointError."""
    shapes = found.header.shapes
    if not shapes:
        return Description(problem="the file holds no tensors")
    return None if _restores(shapes) else Description(facts={"scale": _scale(shapes, found.stem)})


def describe_face_restorer(found: Found) -> Description | None:
    """`restores`: one of RESTORERS; None for what is none of them. Raises CheckpointError."""
    restores = _restores(found.header.shapes)
    return Description(facts={"restores": restores}) if restores else None


def _restores(shapes: Shapes) -> str:
    if any("stylegan_decoder." in name for name in shapes):
        return GFPGAN
    plain = {name.removeprefix("module.").removeprefix("netG.") for name in shapes}
    return CODEFORMER if {"position_emb", "quantize.embedding.weight"} <= plain else ""


def _scale(shapes: Shapes, name: str) -> int:
    """How much a network enlarges, where counting its layers tells that; else what the file's name says; else 0."""
    ups = {key for key in shapes if re.fullmatch(r"conv_up\d\.weight", key)}
    if ups and _side(shapes, "conv_first.weight", 1):   # ESRGAN in its newer names; it may fold the picture first
        folded = max(_side(shapes, "conv_first.weight", 1) // 3, 1)
        return round(2 ** len(ups) / folded**0.5)
    body = [int(found[1]) for key in shapes if (found := re.fullmatch(r"body\.(\d{1,4})\.weight", key))]
    inwards = _side(shapes, "body.0.weight", 1)
    if body and inwards and not ups:                    # Real-ESRGAN's compact network
        return round((_side(shapes, f"body.{max(body)}.weight", 0) / inwards)**0.5)
    said = _SCALE_IN_NAME.search(name)
    return int(said[1] or said[2]) if said else 0


def _side(shapes: Shapes, name: str, axis: int) -> int:
    """The length of one side of a tensor, 0 where there is none."""
    shape = shapes.get(name, ())
    return shape[axis] if axis < len(shape) else 0
