"""A VAE from a file of its own, which stands in for that of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from backend.catalog.fingerprints import fingerprint
from backend.catalog.model_file import VAE, ModelFile
from backend.catalog.vaes import bare, config_beside
from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models import ldm_layout
from backend.worker.models.autoencoder import Autoencoder, next_identity
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.device_transfer import move, tensors
from backend.worker.models.load_errors import loading
from backend.worker.models.model_base import Component, Model
from backend.worker.models.tensor_files import Format, read_tensors

PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
DIFFUSERS = "encoder.down_blocks."      # how a name begins in diffusers' layout only


@dataclass(eq=False)
class ChosenVae(Autoencoder):
    """A VAE in memory, in eval mode and without gradients. Owned by `Memory`."""

    file: ModelFile
    vae: nn.Module
    background_hash: BackgroundHash | None = None       # of a file whose hash was not known
    identity: int = field(init=False, default_factory=next_identity)

    @property
    def name(self) -> str:
        """As AUTOMATIC1111 names it in a picture's text: the file's name, where that tells it from others."""
        file = Path(self.file.path)
        return file.name if file.stem == self.file.key else self.file.key

    @property
    def sha256(self) -> str:
        """Hexadecimal; waits for it. "" when it cannot be known any more."""
        return self.file.sha256 or (self.background_hash.wait() if self.background_hash else "")

    @property
    def bytes(self) -> int:
        """Memory that the network takes."""
        return sum(tensor.nbytes for tensor in tensors(self.vae))

    @property
    def device(self) -> torch.device:
        return self.vae.device

    def to(self, device: torch.device) -> Self:
        """Move the network, its number format unchanged. Where memory runs out it is back where it was."""
        move([self.vae], device)
        return self


def place_of(file: ModelFile, model: Model) -> str:
    """The name under which `Memory` holds a file for a model: what no shape tells may differ between models."""
    config = model.vae.config
    return f"{file.key} ({config.get('scaling_factor')}, {config.get('norm_num_groups')})"


def read_vae(file: ModelFile, model: Model, placement: Placement) -> ChosenVae:
    """Read a file to stand in for the VAE of `model`, onto the placement's device.

    What neither shapes nor a config beside the file tell is as in the model's own: the scale of its latents above all.
    Raises CheckpointError, naming the file and the field, when it is missing, broken, incomplete, or of another build.
    """
    loaded = fingerprint(file.path)
    with loading(file, field=VAE) as path:
        read = bare(read_tensors(path, partial(_format, Format(placement.device, placement.vae))))
        network = ldm_layout.vae_network(_component(read, path, dict(model.vae.config)), placement)
        made = ChosenVae(file, network)
        if (made.latent_channels, made.latent_scale) != (model.latent_channels, model.latent_scale):
            raise CheckpointError(f"its latents are not those of {model.checkpoint.key}")
    if not file.sha256:
        made.background_hash = BackgroundHash(file.path, loaded)
    return made


def _format(wanted: Format, name: str) -> Format | None:
    return wanted if next(iter(bare({name: None}))).startswith(PARTS) else None


def _component(read: Mapping[str, Tensor], path: Path, own: dict[str, Any]) -> Component:
    with ldm_layout.sizes_expected():
        if any(name.startswith(DIFFUSERS) for name in read):
            return Component(config_beside(path) or own | _diffusers_config(read, own), dict(read))
        return ldm_layout.vae_component({ldm_layout.VAE_PREFIX + name: tensor for name, tensor in read.items()}, own)


def _diffusers_config(read: Mapping[str, Tensor], own: Mapping[str, Any]) -> dict[str, Any]:
    """What shapes tell in diffusers' names. Raises KeyError with the name of a missing tensor."""
    stages = ldm_layout.count(read, r"encoder\.down_blocks\.(\d{1,2})\.")
    widths = tuple(read[f"encoder.down_blocks.{i}.resnets.0.conv2.weight"].shape[0] for i in range(stages))
    return ldm_layout.kl_config(
        own, widths, latent_channels=read["decoder.conv_in.weight"].shape[1],
        layers=ldm_layout.count(read, r"encoder\.down_blocks\.0\.resnets\.(\d{1,3})\."),
        attention="encoder.mid_block.attentions.0.group_norm.weight" in read)
