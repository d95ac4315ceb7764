"""CLIP's picture tower (Radford et al. 2021), from a transformers folder or a single file, for IP-Adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from backend.catalog.fingerprints import weight_files
from backend.catalog.model_file import ModelFile
from backend.files.regular_files import read_config
from backend.worker.device import Placement
from backend.worker.models.assemble import assemble
from backend.worker.models.clip_preprocessing import picture_processor
from backend.worker.models.ldm_layout import count, sizes_expected
from backend.worker.models.load_errors import loading
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.models.tensor_files import Format, read_tensors
from backend.worker.pixels import Pixels

NAMES = ("vision_model.", "visual_projection.")
QUICK = (768, 1024)         # widths of OpenAI's towers, which were trained with another GELU than LAION's
HEADS = 16                  # of every tower of 1024 numbers or more
HEAD_WIDTH = 64             # of smaller ones


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Of a picture: its `embedding` (1, P), the last layer but one, `inner` (1, patches + 1, W), and the `last`."""

    embedding: Tensor
    inner: Tensor
    last: Tensor

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.embedding.nbytes + self.inner.nbytes + self.last.nbytes


@dataclass(eq=False)
class ClipVision(OwnedNetwork):
    """A tower in memory, in eval mode. Owned by `Memory`."""

    network: CLIPVisionModelWithProjection
    processor: CLIPImageProcessor

    def seen(self, pixels: Pixels) -> Seen:
        """The middle square of a picture (H, W, 3), as CLIP is shown one."""
        given = self.processor(images=[Image.fromarray(pixels)], return_tensors="pt")
        return self._told(given["pixel_values"])

    def nothing(self, noise: float = 0.0) -> Seen:
        """A picture of zeros, which stands for none, with so much unit noise, always the same."""
        side = self.network.config.image_size
        drawn = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        return self._told(drawn * noise)

    def _told(self, picture: Tensor) -> Seen:
        output = self.network(picture.to(self.device, self.network.dtype), output_hidden_states=True)
        return Seen(output.image_embeds.float(), output.hidden_states[-2].float(), output.last_hidden_state.float())


def load(file: ModelFile, placement: Placement) -> ClipVision:
    """Read a tower; a text tower beside it is left out. Raises CheckpointError, whose sentence names the file."""
    wanted = Format(placement.device, placement.text)
    with loading(file) as path:
        found: dict[str, Tensor] = {}
        for each in weight_files(path):
            found |= read_tensors(each, lambda name: wanted if name.startswith(NAMES) else None)
        with sizes_expected():
            config = _of_folder(path) if path.is_dir() else _of_shapes(found)
        network = assemble(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), found, placement.text,
                           placement.device)
        processor = picture_processor(file, network.config.image_size)
    return ClipVision(network, processor)


def _of_folder(folder: Path) -> dict[str, Any]:
    stored = read_config(folder / "config.json")
    inner = stored.get("vision_config")
    found = {"projection_dim": stored.get("projection_dim", 512), **inner} if isinstance(inner, dict) else stored
    return {name: value for name, value in found.items() if name not in ("architectures", "model_type", "torch_dtype")}


def _of_shapes(named: Mapping[str, Tensor]) -> dict[str, Any]:
    """Raises KeyError with the name of a missing tensor."""
    patch = named["vision_model.embeddings.patch_embedding.weight"]                                 # (W, 3, p, p)
    width, side = patch.shape[0], patch.shape[-1]
    patches = named["vision_model.embeddings.position_embedding.weight"].shape[0] - 1
    return {
        "hidden_size": width,
        "patch_size": side,
        "image_size": round(patches ** 0.5) * side,
        "num_hidden_layers": count(named, r"vision_model\.encoder\.layers\.(\d{1,3})\."),
        "num_attention_heads": HEADS if width >= 1024 else max(width // HEAD_WIDTH, 1),
        "intermediate_size": named["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "projection_dim": named["visual_projection.weight"].shape[0],
        "hidden_act": "quick_gelu" if width in QUICK else "gelu",
    }
