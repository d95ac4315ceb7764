"""SAM (Kirillov et al. 2023): the outlines of what lies in boxes, by transformers from a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.catalog.model_file import ModelFile
from backend.worker.device import Placement
from backend.worker.models.load_errors import built_by_transformers, loading
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.pixels import Pixels

CELL = 4        # pixels of a mask's cell


@dataclass(eq=False)
class Segmenter(OwnedNetwork):
    """SAM in memory, float32. Owned by `Memory`."""

    processor: Any

    def outlines(self, pixels: Pixels, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n, H, W): what lies in each of the boxes (n, 4) of a picture (H, W, 3)."""
        if not len(boxes):
            return np.zeros((0, *pixels.shape[:2]), np.bool_)
        given = self.processor(images=[pixels.copy()], input_boxes=[boxes.tolist()], return_tensors="pt")
        shown = {name: given[name].to(self.device, torch.float32) for name in ("pixel_values", "input_boxes")}
        found = self.network(**shown, multimask_output=False).pred_masks.cpu()
        whole = self.processor.image_processor.post_process_masks(found, given["original_sizes"],
                                                                  given["reshaped_input_sizes"])
        return whole[0][:, 0].numpy().astype(np.bool_)


def load(file: ModelFile, placement: Placement) -> Segmenter:
    """Read a folder. Raises CheckpointError, whose sentence names it."""
    from transformers import SamImageProcessor, SamModel, SamProcessor

    with loading(file) as path, built_by_transformers("SAM"):
        network = SamModel.from_pretrained(path, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        side = network.config.vision_config.image_size
        masks = side // CELL
        pictures = SamImageProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side},
                                     mask_size={"longest_edge": masks}, mask_pad_size={"height": masks, "width": masks})
    return Segmenter(network.to(placement.device).eval().requires_grad_(False), SamProcessor(pictures))
