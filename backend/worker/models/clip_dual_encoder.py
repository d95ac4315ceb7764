"""A CLIP with both towers (Radford et al. 2021) from a transformers folder: pictures and texts as unit vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from backend.catalog.clip_folders import CONFIG, weights_of
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_config
from backend.prompt.tokenizer import Tokenizer
from backend.worker.device import Placement
from backend.worker.models.assemble import assemble
from backend.worker.models.clip_preprocessing import picture_processor
from backend.worker.models.tensor_files import Format, read_tensors
from backend.worker.pixels import Pixels


@dataclass(eq=False)
class ClipEncoder:
    """Both towers in memory."""

    file: ModelFile
    network: CLIPModel
    tokenizer: Tokenizer
    processor: CLIPImageProcessor

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.network.state_dict().values())

    @property
    def device(self) -> torch.device:
        return self.network.logit_scale.device

    def to(self, device: torch.device) -> Self:
        self.network.to(device)
        return self

    def of_picture(self, pixels: Pixels) -> Tensor:
        """Unit vector (D,), float32 on the CPU. Of an oblong picture CLIP sees the square in its middle."""
        given = self.processor(images=[Image.fromarray(pixels)], return_tensors="pt")["pixel_values"]
        weights = self.network.visual_projection.weight
        seen = self.network.vision_model(pixel_values=given.to(weights.device, weights.dtype))
        return self._unit(self.network.visual_projection(seen.pooler_output))

    def of_text(self, text: str) -> Tensor:
        """Unit vector (D,), float32 on the CPU; what is longer than the tower's context (77 tokens) is cut off."""
        room = self.network.config.text_config.max_position_embeddings - 2
        ids = [self.tokenizer.start, *self.tokenizer.ids(text)[:room], self.tokenizer.end]
        said = self.network.text_model(input_ids=torch.tensor([ids], device=self.device))
        return self._unit(self.network.text_projection(said.pooler_output))

    @staticmethod
    def _unit(features: Tensor) -> Tensor:
        return normalize(features[0].float(), dim=-1).cpu()


def load(file: ModelFile, placement: Placement) -> ClipEncoder:
    """Read a CLIP folder. CheckpointError saying what is missing, broken or does not fit together."""
    folder = Path(file.path)
    weights = weights_of(folder)
    if weights is None:
        raise CheckpointError(f"the weights of {file.key} are gone")
    config = read_config(folder / CONFIG)
    wanted = Format(placement.device, placement.text)
    network = assemble(lambda: CLIPModel(CLIPConfig.from_dict(config)), read_tensors(weights, lambda _: wanted),
                       placement.text, placement.device)
    return ClipEncoder(file, network, _tokenizer(file, network),
                       picture_processor(file, network.config.vision_config.image_size))


def _tokenizer(file: ModelFile, network: CLIPModel) -> Tokenizer:
    try:
        found = Tokenizer.from_folder(file.path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the tokenizer of {file.key} cannot be read: {error}") from error
    if max(found.start, found.end) >= network.config.text_config.vocab_size:
        raise CheckpointError(f"the text tower of {file.key} knows fewer words than its tokenizer")
    return found
