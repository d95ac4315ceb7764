"""Control-LoRAs: ControlNets whose large weights are the UNet's own and a product of two thin ones.

The names in the files are diffusers', with `.up` and `.down` for the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from backend.worker.models.controlnet_layout import LORA, control_lora_component


class Product(nn.Module):
    """What is added to a frozen weight: (out, rank) times (rank, in), in that weight's shape."""

    def __init__(self, difference: Tensor, rank: int) -> None:
        super().__init__()
        up, down = factors(difference, rank)
        self.up, self.down = nn.Parameter(up), nn.Parameter(down)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return weight + (self.up @ self.down).view_as(weight)


def factors(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(out, rank) and (rank, in), whose product is nearest to a weight's `difference` (out, in, ...); equally large."""
    u, values, v = torch.linalg.svd(difference.flatten(1).float(), full_matrices=False)
    root = values[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


def is_large(weight: Tensor, rank: int) -> bool:
    """Whether the two thin ones are smaller."""
    return weight.dim() > 1 and rank * (len(weight) + weight[0].numel()) < weight.numel()


def bind(controlnet: ControlNetModel, unet: UNet2DConditionModel, rank: int) -> list[nn.Parameter]:
    """Makes a ControlNet one of low rank, as near as can be to what it was; returns what it learns by."""
    own = unet.state_dict()
    for name, weight in list(controlnet.named_parameters()):
        if name in own and is_large(weight, rank):
            path, _, kind = name.rpartition(".")
            layer, product = controlnet.get_submodule(path), Product(weight.data - own[name], rank)
            weight.data.copy_(own[name])
            weight.requires_grad_(False)
            parametrize.register_parametrization(layer, kind, product)
    return [parameter for parameter in controlnet.parameters() if parameter.requires_grad]


def opened(path: Path, unet: UNet2DConditionModel) -> ControlNetModel:
    """The whole ControlNet that a file makes of its UNet."""
    made = control_lora_component(load_file(path), unet.config, unet.state_dict())
    controlnet = ControlNetModel.from_config(dict(made.config))
    controlnet.load_state_dict({name: tensor.float() for name, tensor in made.tensors.items()})
    return controlnet


def tensors(controlnet: ControlNetModel) -> Iterator[tuple[str, Tensor]]:
    """Those of the file of a ControlNet that was bound."""
    yield LORA, torch.zeros(1)
    for name, tensor in controlnet.state_dict().items():
        path, found, kind = name.partition(".parametrizations.weight.")
        if not found:
            yield name, tensor
        elif kind != "original":
            yield f"{path}.{kind.removeprefix('0.')}", tensor


def publish(named: Mapping[str, Tensor] | Iterator[tuple[str, Tensor]], path: Path) -> None:
    """In float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().half().contiguous() for name, tensor in dict(named).items()}, path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
