"""BLIP (Li et al. 2022): a picture in a sentence, by transformers from a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from backend.catalog.model_file import ModelFile
from backend.worker.device import Placement
from backend.worker.models.load_errors import built_by_transformers, loading
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.pixels import Pixels


@dataclass(eq=False)
class Captioner(OwnedNetwork):
    """BLIP in memory, float32. Owned by `Memory`."""

    processor: Any
    tokenizer: Any

    def caption(self, pixels: Pixels, beams: int, shortest: int, longest: int) -> str:
        """What is in a picture (H, W, 3), in about `shortest` to `longest` tokens, the best of so many beams."""
        given = self.processor(images=[Image.fromarray(pixels)], return_tensors="pt")["pixel_values"]
        said = self.network.generate(pixel_values=given.to(self.device, torch.float32), num_beams=beams,
                                     min_length=min(shortest, longest), max_length=longest)
        return self.tokenizer.decode(said[0], skip_special_tokens=True).strip()


def load(file: ModelFile, placement: Placement) -> Captioner:
    """Read a folder. Raises CheckpointError, whose sentence names it."""
    from transformers import BertTokenizerFast, BlipForConditionalGeneration, BlipImageProcessor

    with loading(file) as path, built_by_transformers("BLIP"):
        network = BlipForConditionalGeneration.from_pretrained(path, local_files_only=True, use_safetensors=True,
                                                               dtype=torch.float32)
        side = network.config.vision_config.image_size
        tokenizer = BertTokenizerFast.from_pretrained(path, local_files_only=True)
    pictures = BlipImageProcessor(size={"height": side, "width": side})
    return Captioner(network.to(placement.device).eval().requires_grad_(False), pictures, tokenizer)
