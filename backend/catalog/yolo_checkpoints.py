"""Ultralytics' checkpoints (.pt): the network that one holds, part by part as it was pickled, if Easel runs it.

    {"model": None, "ema": <ultralytics.nn.tasks.DetectionModel>, "train_args": {"imgsz": 640, ...}, "epoch": -1, ...}

Each part is a module of torch's or ultralytics' with its own settings, so that a network of any width and depth, or of
an arrangement of its trainer's own, describes itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.catalog.folder_scan import clean_name
from backend.catalog.pickled_objects import Instance, read_objects
from backend.errors import CheckpointError

SIDE = 640                      # pixels of the square that is looked at, where the file does not tell it
SIDES = range(32, 2049)
MAX_PARTS = 20_000              # of a network; large ones have 2,000
TOLD = 6                        # names of parts in a sentence
HEADS = frozenset({"Detect", "Segment", "Pose"})
PARTS = HEADS | {
    "Sequential", "ModuleList", "Conv2d", "ConvTranspose2d", "BatchNorm2d", "MaxPool2d", "Upsample", "Identity", "SiLU",
    "ReLU", "Conv", "DWConv", "Concat", "DFL", "Proto", "Bottleneck", "C2f", "C3", "SPPF",      # YOLOv5u, YOLOv8
    "C3k", "C3k2", "C2PSA", "PSABlock", "Attention",                                            # YOLO11, YOLO26
    "RepConv", "RepBottleneck", "RepCSP", "RepNCSPELAN4", "ELAN1", "SPPELAN", "ADown", "AConv",  # YOLOv9
}
"""By the names of their classes, what Easel has a layer for."""
_MODULES = ("ultralytics.", "torch.nn.")
_KNOWN_BY = {"WorldModel": "YOLO-World", "YOLOEModel": "YOLOE", "RTDETRDetectionModel": "RT-DETR"}
_NO_BOXES = {"Classify": "tells what a whole picture shows, not where: take a detector of things (Detect or Segment)",
             "OBB": "finds turned boxes: take a detector of things (Detect or Segment)"}


@dataclass(frozen=True, slots=True)
class YoloCheckpoint:
    """`layers` of a network, the last of which is its head; `names` of classes; `side` of what it sees in pixels."""

    layers: Sequence[Instance]
    names: tuple[str, ...]
    side: int


def read_yolo(path: Path) -> YoloCheckpoint:
    """Raises CheckpointError, whose sentence says what the file is instead and what to do."""
    saved = read_objects(path)
    network = _network(saved)
    layers = list(_layers(network))
    names = network.state.get("names")
    return YoloCheckpoint(_fit(network, layers, clean_name(path.name)), _names(names), _side(saved, network))


def children(part: Instance) -> dict[str, Any]:
    """The parts of a part by their names, None where one is switched off."""
    held = part.state.get("_modules")
    return held if isinstance(held, dict) else {}


def _network(saved: Any) -> Instance:
    """What was trained last is averaged, where the trainer has done that (`ema`)."""
    held = [saved[name] for name in ("ema", "model") if isinstance(saved.get(name), Instance)] \
        if isinstance(saved, dict) else []
    if held:
        return held[0]
    if isinstance(saved, Instance) and saved.kind.startswith("__torch__"):
        raise CheckpointError("is TorchScript, which is a program: take the .pt file from which it was made, or its "
                              "export to ONNX")
    raise CheckpointError("holds no network of ultralytics': a detector is a .pt file as its training saves it, or an "
                          "ONNX file")


def _layers(network: Instance) -> Iterator[Instance]:
    whole = children(network).get("model")
    for layer in children(whole).values() if isinstance(whole, Instance) else ():
        if isinstance(layer, Instance):
            yield layer


def _fit(network: Instance, layers: list[Instance], name: str) -> list[Instance]:
    """The layers. Raises CheckpointError for those of another network."""
    if not network.kind.startswith(_MODULES):
        raise CheckpointError(f"holds '{_shown(network.kind)}', a network of YOLOv5's or YOLOv7's kind or of a program "
                              "of its own: take a detector that ultralytics has trained (YOLOv8, YOLOv9, YOLO11)")
    head = layers[-1].name if layers else ""
    if head in _NO_BOXES:
        raise CheckpointError(_NO_BOXES[head])
    foreign = dict.fromkeys(_shown(part.name) for part in _parts(layers)
                            if part.name not in PARTS or not part.kind.startswith(_MODULES))
    if foreign or head not in HEADS:
        what = _KNOWN_BY.get(network.name) or _shown(network.name)
        with_parts = ", ".join(list(foreign)[:TOLD]) or head or "no layers"
        stem = name.rpartition(".")[0]
        raise CheckpointError(f"is a network that Easel does not run ({what} with {with_parts}): export it where "
                              f"ultralytics is installed (yolo export model={name} format=onnx), and put {stem}.onnx "
                              "into models/adetailer")
    return layers


def _parts(layers: Sequence[Instance]) -> Iterator[Instance]:
    """The layers and all in them. Raises CheckpointError for too many, as where parts hold each other."""
    waiting: list[Iterator[Any]] = [iter(layers)]
    count = 0
    while waiting:
        part = next(waiting[-1], waiting)
        if part is waiting:
            waiting.pop()
        elif isinstance(part, Instance):
            count += 1
            if count > MAX_PARTS:
                raise CheckpointError("has more parts than any detector")
            yield part
            waiting.append(iter(children(part).values()))


def _names(names: Any) -> tuple[str, ...]:
    """Of the classes, which are numbered; () where the file does not tell them."""
    if isinstance(names, dict) and all(key.isdecimal() for key in names):
        names = [names[key] for key in sorted(names, key=lambda key: (len(key), key))]
    told = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(clean_name(name) for name in names) if told else ()


def _side(saved: dict[str, Any], network: Instance) -> int:
    """That of the training."""
    asked = (told.get("imgsz") for told in (saved.get("train_args"), network.state.get("args"))
             if isinstance(told, dict))
    return next((side for side in asked if type(side) is int and side in SIDES), SIDE)


def _shown(name: str) -> str:
    return clean_name(name)[:60]
