"""The demo's face networks, in the signatures of insightface's: SCRFD's finds drawn faces, ArcFace's knows them again.

Both first shrink what they are shown: drawn faces are patches of colour.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

STRIDES = (8, 16, 32)
LEVEL = 4               # of the one network that looks at all three: a face has as many cells at each
ANCHORS = 2             # SCRFD says everything twice
CROP, SHRUNK = 112, 28  # pixels of the sides of an upright face, and of what is looked at
IDENTITY = 512          # numbers
PACK = "demo-faces"
FINDS, KNOWS = "det_demo.onnx", "demo_people.onnx"


def convolution(inputs: int, outputs: int, stride: int = 1, reach: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, stride, reach, reach, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Finder(nn.Module):
    """Finds faces whose boxes are 8 to 20 cells high."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(3, 16, 2), convolution(16, 32, 2), convolution(32, 32, reach=2),
                                  convolution(32, 32, reach=4), convolution(32, 32, reach=2), convolution(32, 32))
        self.head = nn.Conv2d(32, 15, 1)

    def level(self, pixels: Tensor) -> Tensor:
        """(B, 15, H/4, W/4) of pixels (B, 3, H, W) in -1..1: a logit, then box and points in cells from the corner."""
        return self.head(self.body(pixels))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Of pixels (1, 3, H, W): scores (n, 1) for each stride, then boxes (n, 4), then points (n, 10)."""
        levels = [self.level(avg_pool2d(pixels, stride // LEVEL)) for stride in STRIDES]
        rows = [level.permute(0, 2, 3, 1).reshape(-1, 1, 15).repeat(1, ANCHORS, 1).reshape(-1, 15) for level in levels]
        return (*(row[:, :1].sigmoid() for row in rows), *(row[:, 1:5] for row in rows), *(row[:, 5:] for row in rows))


class Knower(nn.Module):
    """Says who somebody is, in IDENTITY numbers whose direction counts."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(3, 32, 2), convolution(32, 48), convolution(48, 48, 2),
                                  nn.Conv2d(48, 16, 1), nn.Flatten(),
                                  nn.Linear(16 * (SHRUNK // 4) ** 2, 64), nn.ReLU())
        self.last = nn.Linear(64, IDENTITY)

    def shrunk(self, pixels: Tensor) -> Tensor:
        """(B, IDENTITY) of pixels (B, 3, SHRUNK, SHRUNK) in -1..1."""
        return self.last(self.body(pixels))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, IDENTITY) of upright faces (B, 3, CROP, CROP) in -1..1."""
        return self.shrunk(avg_pool2d(pixels, CROP // SHRUNK))


def publish(finder: Finder, knower: Knower, folder: Path) -> None:
    """The two as ONNX files; the finder takes pictures of any size."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{what}_{stride}" for what in ("score", "box", "points") for stride in STRIDES]
    exported(finder.eval(), torch.zeros(1, 3, 640, 640), folder / FINDS, names, {2: "height", 3: "width"})
    exported(knower.eval(), torch.zeros(1, 3, CROP, CROP), folder / KNOWS, ["identity"], {0: "faces"})


def exported(network: nn.Module, shown: Tensor, path: Path, outputs: list[str], free: dict[int, str]) -> None:
    """By the exporter that needs no further package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network, (shown,), str(path), input_names=["input.1"], output_names=outputs,
                          dynamic_axes={"input.1": free}, opset_version=17, dynamo=False)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
