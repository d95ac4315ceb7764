"""The Inception network of the Frechet Inception Distance, as torch-fidelity converted it from TensorFlow's."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models.tensor_files import Format, read_tensors
from backend.worker.pixels import Pixels

FEATURES = "2048"           # torch-fidelity's name of the layer that FID looks at


@dataclass(eq=False)
class Inception:
    """The network in memory, in float32: FID in less precision is another number."""

    file: ModelFile
    network: nn.Module

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.network.state_dict().values())

    @property
    def device(self) -> torch.device:
        return self.network.fc.weight.device

    def to(self, device: torch.device) -> Self:
        self.network.to(device)
        return self

    def features(self, pictures: list[Pixels]) -> Tensor:
        """(N, 2048) float32 on the CPU, of pictures of any sizes."""
        seen = [self.network(torch.from_numpy(each).permute(2, 0, 1)[None].to(self.device))[0] for each in pictures]
        return torch.cat(seen).float().cpu()


def load(file: ModelFile, placement: Placement) -> Inception:
    """Read it from torch-fidelity's file. Raises CheckpointError when the tensors are not this network's.

    torch-fidelity would unpickle whatever lies in the file; it is given tensors only.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    tensors = read_tensors(Path(file.path), lambda _: Format(torch.device("cpu"), None))
    safe = io.BytesIO()
    torch.save(tensors, safe)
    safe.seek(0)
    try:
        network = FeatureExtractorInceptionV3("inception", [FEATURES], feature_extractor_weights_path=safe)
    except RuntimeError as error:
        raise CheckpointError(f"{file.key} is not the Inception network that FID is measured with") from error
    return Inception(file, network.to(placement.device))
