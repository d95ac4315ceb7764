"""The modules of a checkpoint and the shapes of their weights, from the header of its file or folder.

Names are diffusers' and transformers', flat, in whatever layout the file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from backend.catalog.fingerprints import Fingerprint
from backend.catalog.headers import Shapes, read_shapes
from backend.catalog.model_file import ModelFile
from backend.catalog.network_fit import Modules
from backend.catalog.network_kinds import Shape
from backend.catalog.network_names import flat, plain_name, text_name

UNET = "model.diffusion_model."
_TEXT = {"cond_stage_model.transformer.": "text_encoder", "conditioner.embedders.0.transformer.": "text_encoder"}
_OPEN_CLIP = {"conditioner.embedders.1.model.": "text_encoder_2", "conditioner.embedders.0.model.": "text_encoder_2",
              "cond_stage_model.model.": "text_encoder"}
UNREAD_BLOCKS = {"cond_stage_model.model.": 1}
"""Where an OpenCLIP text encoder lies -> how many blocks at its end have no effect and are not loaded."""
_KEPT = 8                   # checkpoints whose modules are remembered
_DOWNSAMPLER = re.compile(r"input_blocks\.(\d{1,3})\.0\.op\.weight")
_INPUT = re.compile(r"input_blocks\.(\d{1,3})\.")
_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+?)[._]weight")
_OPEN_CLIP_BLOCK = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp_fc1", "mlp.c_proj": "mlp_fc2",
                    "attn.out_proj": "self_attn_out_proj"}
_THIRDS = ("q_proj", "k_proj", "v_proj")


def modules_of(checkpoint: ModelFile) -> Modules:
    """Component -> flat module -> shape of its weights. Raises CheckpointError when the header cannot be read."""
    return _modules(checkpoint.path, checkpoint.fingerprint)


@lru_cache(maxsize=_KEPT)
def _modules(path: str, state: Fingerprint | None) -> Modules:
    place = Path(path)
    return _of_folder(place) if place.is_dir() else _of_file(read_shapes(place))


def _of_folder(folder: Path) -> Modules:
    found: dict[str, dict[str, Shape]] = {}
    for component in ("unet", "text_encoder", "text_encoder_2"):
        for file in sorted((folder / component).glob("*.safetensors")):
            found.setdefault(component, {}).update(_weights(component, read_shapes(file), 0))
    return found


def _of_file(shapes: Shapes) -> Modules:
    unet = {name.removeprefix(UNET): shape for name, shape in shapes.items() if name.startswith(UNET)}
    found = {"unet": _weights("unet", unet, _resnets(unet))}
    for prefix, component in _TEXT.items():
        inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        if inside:
            found[component] = _weights(component, inside, 0)
    for prefix, component in _OPEN_CLIP.items():
        inside = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
        if inside:
            found[component] = dict(_open_clip(inside, UNREAD_BLOCKS.get(prefix, 0)))
    return found


def _weights(component: str, shapes: Shapes, resnets: int) -> dict[str, Shape]:
    named = ((name.removesuffix(".weight"), shape) for name, shape in shapes.items() if name.endswith(".weight"))
    return {plain_name(component, flat(name), resnets): shape for name, shape in named}


def _resnets(shapes: Shapes) -> int:
    """Residual layers of each block of a UNet in sgm's names: its first downsampler stands behind those of one."""
    downsamplers = [int(found[1]) for name in shapes if (found := _DOWNSAMPLER.match(name))]
    inputs = [int(found[1]) for name in shapes if (found := _INPUT.match(name))]
    return max(min(downsamplers) - 1 if downsamplers else max(inputs, default=2), 1)


def _open_clip(shapes: Shapes, unread: int) -> Iterator[tuple[str, Shape]]:
    """`unread`: so many blocks at the end are left out."""
    blocks = {int(found[1]) for name in shapes if (found := _RESBLOCK.fullmatch(name))}
    last = max(blocks, default=0) - unread
    for name, shape in shapes.items():
        if name == "text_projection" and len(shape) == 2:
            yield name, (shape[1], shape[0])
        found = _RESBLOCK.fullmatch(name)
        if not found or int(found[1]) > last:
            continue
        module, layer = found[2], f"encoder_layers_{found[1]}"
        if module in _OPEN_CLIP_BLOCK:
            yield text_name(f"{layer}_{_OPEN_CLIP_BLOCK[module]}"), shape
        if module == "attn.in_proj" and shape:
            yield from ((f"{layer}_self_attn_{third}", (shape[0] // 3, *shape[1:])) for third in _THIRDS)
