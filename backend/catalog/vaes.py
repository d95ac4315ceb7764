"""What a VAE's file tells from its header: is it whole, how its latents are, and which checkpoints it goes with.

Both layouts are read: the authors' (LDM; bare or below `first_stage_model.`) and diffusers', whose config may lie
beside the file. Weights alone do not tell the latents of Stable Diffusion 1 from those of XL: only a config does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.catalog.description import Description
from backend.catalog.families import FAMILIES, base
from backend.catalog.fingerprints import Fingerprint
from backend.catalog.folder_scan import Found
from backend.catalog.headers import Shapes, read_shapes
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_config

PREFIX = "first_stage_model."
CONFIG = "config.json"
SCALES: Mapping[str, float] = {"sd1": 0.18215, "sd2": 0.18215, "sdxl": 0.13025}
"""What brings a family's latents to unit variance: a config that tells another's is for another's latents."""

MOST_STAGES = 16                # of a network that could be run: each but one halves the picture
_KEPT = 8                       # checkpoints whose own VAE is remembered
_STAGE = re.compile(r"encoder\.(?:down|down_blocks)\.(\d{1,2})\.")
_ENDS = ("encoder.conv_in.weight", "encoder.conv_out.weight", "decoder.conv_in.weight", "decoder.conv_out.weight")
_QUANT = ("quant_conv.weight", "post_quant_conv.weight")
_OTHER_PARTS = ("model.diffusion_model.", "cond_stage_model.", "conditioner.")


def describe(found: Found) -> Description:
    """`facts`: the channels of its latents, its stages, each of which but one halves the picture, and its scale.

    Raises CheckpointError.
    """
    shapes = bare(found.header.shapes)
    taken = shapes.get("decoder.conv_in.weight", ())
    if len(taken) != 4 or any(name.startswith(_OTHER_PARTS) for name in found.header.shapes):
        return Description(problem="it is no VAE")
    config = config_beside(found.path)
    facts = {"channels": taken[1], "stages": _stages(shapes), "scale": _number(config.get("scaling_factor"))}
    missing = [name for name in (*_ENDS, *(_QUANT if not config else ())) if name not in shapes]
    return Description(facts=facts, problem=f"the file is incomplete: it has no {missing[0]}" if missing else "")


def bare(shapes: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a file that is a VAE, without the name that they have inside a checkpoint."""
    inside = {name.removeprefix(PREFIX): value for name, value in shapes.items() if name.startswith(PREFIX)}
    return inside or dict(shapes)


def config_beside(path: Path) -> dict[str, Any]:
    """The config of a file that lies as diffusers saves it; {} for other files, and where it is something else's."""
    file = path.with_name(CONFIG)
    if not file.is_file():
        return {}
    config = read_config(file)
    return config if config.get("_class_name") == "AutoencoderKL" else {}


def beside(checkpoint: ModelFile, vaes: Iterable[ModelFile]) -> ModelFile | None:
    """The VAE that AUTOMATIC1111's "Automatic" takes: called as the checkpoint, or as it and `.vae`."""
    stem = Path(checkpoint.path).stem if checkpoint.single_file else Path(checkpoint.path).name
    return next((file for file in vaes if not file.problem and Path(file.path).stem in (stem, f"{stem}.vae")), None)


def misfit(vae: ModelFile, checkpoint: ModelFile) -> str:
    """Why a VAE cannot stand in for the checkpoint's own, as a sentence; "" where nothing speaks against it."""
    own = own_of(checkpoint)
    label = FAMILIES[checkpoint.family].label if checkpoint.family in FAMILIES else checkpoint.family
    if own.get("channels") and vae.facts.get("channels") != own["channels"]:
        return (f"{vae.key} makes latents of {vae.facts.get('channels')} channels, and {checkpoint.key}, which is of "
                f"the family {label}, takes {own['channels']}")
    if own.get("stages") and vae.facts.get("stages") != own["stages"]:
        return (f"{vae.key} makes latent cells of {_pixels(vae.facts.get('stages'))} pixels, and {checkpoint.key}, "
                f"which is of the family {label}, takes {_pixels(own['stages'])}")
    others = [name for name, scale in SCALES.items() if scale == vae.facts.get("scale")]
    wanted = own.get("scale") or SCALES.get(base(checkpoint.family))
    if others and wanted and wanted != vae.facts["scale"] and base(checkpoint.family) not in others:
        return f"{vae.key} is made for {FAMILIES[others[0]].label}, and {checkpoint.key} is of the family {label}"
    return ""


def own_of(checkpoint: ModelFile) -> dict[str, Any]:
    """`facts` of the VAE that a checkpoint brings; {} where its header does not tell."""
    try:
        return _own(checkpoint.path, checkpoint.fingerprint)
    except CheckpointError:
        return {}           # loading it says what is wrong


@lru_cache(maxsize=_KEPT)
def _own(path: str, state: Fingerprint | None) -> dict[str, Any]:
    place = Path(path)
    if place.is_dir():
        config = read_config(place / "vae" / CONFIG)
        stages = config.get("block_out_channels")
        told = isinstance(stages, list) and len(stages) <= MOST_STAGES
        return {"channels": config.get("latent_channels"), "stages": len(stages) if told else 0,
                "scale": _number(config.get("scaling_factor"))}
    shapes = {name.removeprefix(PREFIX): shape for name, shape in read_shapes(place).items() if name.startswith(PREFIX)}
    taken = shapes.get("decoder.conv_in.weight", ())
    return {"channels": taken[1], "stages": _stages(shapes)} if len(taken) == 4 else {}


def _stages(shapes: Shapes) -> int:
    return 1 + max((int(found[1]) for name in shapes if (found := _STAGE.match(name))), default=-1)


def _pixels(stages: Any) -> int:
    return 2 ** (int(stages or 1) - 1)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
