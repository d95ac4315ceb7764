"""Preprocessors of guides that need weights: controlnet-aux's and transformers', from local files, imported when used.

controlnet-aux works at multiples of 64 pixels; what it gives is brought to the size that is drawn by whoever asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from backend.errors import CheckpointError
from backend.request.guide_modules import MODULES
from backend.worker.draw.preprocessors import Preprocessor, shorter
from backend.worker.draw.whole_body_pose import WholeBodyPose
from backend.worker.models.device_transfer import move, tensors
from backend.worker.models.foreign_loaders import opened_by_library
from backend.worker.models.run_errors import running
from backend.worker.pixels import Pixels

Paths = Sequence[Path]
Call = Callable[[Any, Pixels, int, float, float], Pixels]
MOST_SIDE = 4096        # pixels of a side that a folder asks to be shown


@dataclass(frozen=True, slots=True)
class Trained:
    """`load(paths)` gives a detector of the files that `Module.files` names; `call` shows it pixels."""

    load: Callable[[Paths], Any]
    call: Call


@dataclass(eq=False)
class Detector:
    """A preprocessor's networks in memory. Owned by `Memory`."""

    detector: Any
    networks: tuple[nn.Module, ...]

    @property
    def bytes(self) -> int:
        """Memory that the networks take."""
        return sum(tensor.nbytes for network in self.networks for tensor in tensors(network))

    @property
    def device(self) -> torch.device:
        on = (tensor.device for network in self.networks for tensor in tensors(network))
        return next(on, torch.device("cpu"))

    def to(self, device: torch.device) -> Self:
        """Move the networks. Where memory runs out they are back where they were."""
        move(self.networks, device)
        return self


def load(name: str, paths: Paths) -> Detector:
    """The detector of a module. Raises CheckpointError, whose sentence names the file."""
    with opened_by_library(paths, f"{' or '.join(path.name for path in paths)} is not what {name} needs"):
        detector = TRAINED[name].load(paths)
    return Detector(detector, tuple(_networks(detector)))


def preprocessor(name: str, detector: Detector) -> Preprocessor:
    """A loaded module as one that needs no weights. It raises CheckpointError where its networks cannot be run."""

    def shown(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
        with running(name):
            return TRAINED[name].call(detector.detector, pixels, resolution, a, b)

    return shown


def network_of(name: str) -> str:
    """Modules that share a network have one name for it."""
    return "+".join(MODULES[name].files)


def _networks(detector: Any) -> list[nn.Module]:
    """Those that a detector holds, itself or in what it is made of."""
    if isinstance(detector, nn.Module):
        return [detector]
    held = [value for value in getattr(detector, "__dict__", {}).values() if value is not detector]
    return [network for value in held for network in ([value] if isinstance(value, nn.Module) else _inner(value))]


def _inner(value: Any) -> list[nn.Module]:
    return [each for each in getattr(value, "__dict__", {}).values() if isinstance(each, nn.Module)]


def _of_aux(name: str, *files: str) -> Callable[[Paths], Any]:
    """A class of controlnet-aux; `files` are its parameters for the files."""

    def load_from(paths: Paths) -> Any:
        import controlnet_aux

        named = dict(zip(files, map(str, paths), strict=True))
        return getattr(controlnet_aux, name).from_pretrained(str(paths[0].parent), **named)

    return load_from


def _asked(**settings: Any) -> Call:
    """Calls a detector of controlnet-aux with these settings."""

    def call(detector: Any, pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
        return _rgb(detector(pixels.copy(), detect_resolution=resolution, image_resolution=resolution, **settings))

    return call


def _at_own_size(detector: Any, pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    """Those of controlnet-aux that give a picture of the size that they are shown."""
    return _rgb(detector(pixels.copy(), detect_resolution=resolution))


def _rgb(found: Any) -> Pixels:
    if isinstance(found, tuple):
        found = found[0]
    return np.ascontiguousarray(np.asarray(Image.fromarray(np.asarray(found)).convert("RGB")))


def _straight_lines(detector: Any, pixels: Pixels, resolution: int, value: float, distance: float) -> Pixels:
    return _asked(thr_v=value, thr_d=distance)(detector, pixels, resolution, value, distance)


def _anyline(paths: Paths) -> Any:
    import controlnet_aux

    return controlnet_aux.AnylineDetector.from_pretrained(str(paths[0].parent), filename=str(paths[0]))


def _of_transformers(task: str) -> Callable[[Paths], Any]:
    def load_from(paths: Paths) -> Any:
        import transformers

        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        pipeline = transformers.pipeline(task, model=str(folder), device="cpu")
        if any(side > MOST_SIDE for side in dict(pipeline.image_processor.size).values()):
            raise CheckpointError(f"{folder.name} asks for larger pictures than any network")
        return pipeline

    return load_from


def _depth(pipeline: Any, pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    _follow(pipeline)
    return _rgb(pipeline(Image.fromarray(shorter(pixels, resolution)))["depth"])


def _segments(pipeline: Any, pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    """Every class in its colour of ADE20K."""
    from controlnet_aux.util import ade_palette

    _follow(pipeline)
    picture, colours = shorter(pixels, resolution), np.asarray(ade_palette(), np.uint8)
    found, made = pipeline(Image.fromarray(picture), subtask="semantic"), np.zeros_like(picture)
    for each in found:
        number = pipeline.model.config.label2id[each["label"]]
        made[np.asarray(each["mask"]) > 0] = colours[number % len(colours)]
    return made


def _follow(pipeline: Any) -> None:
    """A pipeline sends pictures to where its network was when it was made."""
    pipeline.device = next(pipeline.model.parameters()).device


def _leres(paths: Paths) -> Any:
    """Its library reads the options of the program that it runs in, and ends that where it knows none of these."""
    given, sys.argv = sys.argv, sys.argv[:1]
    try:
        return _LERES_FILES(paths)
    finally:
        sys.argv = given


_HED = _of_aux("HEDdetector", "filename")
_PIDI = _of_aux("PidiNetDetector", "filename")
_LINES = _of_aux("LineartDetector", "filename", "coarse_filename")
_POSE = _of_aux("OpenposeDetector", "filename", "hand_filename", "face_filename")
_LERES_FILES = _of_aux("LeresDetector", "filename", "pix2pix_filename")
FACE_ONLY = "openpose_faceonly"
_POSES = {"openpose": (True, False, False), "openpose_hand": (True, True, False), "openpose_face": (True, False, True),
          FACE_ONLY: (False, False, True), "openpose_full": (True, True, True)}

def poses(name: str, detector: Detector, pixels: Pixels, resolution: int) -> list[Any]:
    """Of the people in a picture, by a module that finds any, as controlnet-aux has them: in shares of its sides."""
    if isinstance(detector.detector, WholeBodyPose):
        return detector.detector.poses(pixels, resolution)
    _, hands, face = _POSES[name]
    found = detector.detector.detect_poses(shorter(pixels, resolution), include_hand=hands, include_face=face)
    return [each._replace(body=each.body._replace(keypoints=[None] * len(each.body.keypoints)))
            for each in found] if name == FACE_ONLY else found


TRAINED: Mapping[str, Trained] = {
    "softedge_hed": Trained(_HED, _asked()),
    "softedge_hedsafe": Trained(_HED, _asked(safe=True)),
    "scribble_hed": Trained(_HED, _asked(scribble=True)),
    "softedge_pidinet": Trained(_PIDI, _asked()),
    "softedge_pidisafe": Trained(_PIDI, _asked(safe=True)),
    "scribble_pidinet": Trained(_PIDI, _asked(scribble=True)),
    "softedge_teed": Trained(_of_aux("TEEDdetector", "filename"), _at_own_size),
    "softedge_anyline": Trained(_anyline, _at_own_size),
    "mlsd": Trained(_of_aux("MLSDdetector", "filename"), _straight_lines),
    "lineart_realistic": Trained(_LINES, _asked(coarse=False)),
    "lineart_coarse": Trained(_LINES, _asked(coarse=True)),
    "lineart_anime": Trained(_of_aux("LineartAnimeDetector", "filename"), _asked()),
    **{name: Trained(_POSE, _asked(include_body=body, include_hand=hand, include_face=face))
       for name, (body, hand, face) in _POSES.items()},
    "dw_openpose_full": Trained(lambda paths: WholeBodyPose.load(*paths), lambda pose, *given: pose.drawn(*given[:2])),
    "depth_midas": Trained(_of_aux("MidasDetector", "filename"), _asked()),
    "depth_zoe": Trained(_of_aux("ZoeDetector", "filename"), _asked()),
    "depth_leres": Trained(_leres, _asked()),
    "depth_leres++": Trained(_leres, _asked(boost=True)),
    "depth_anything": Trained(_of_transformers("depth-estimation"), _depth),
    "depth_anything_v2": Trained(_of_transformers("depth-estimation"), _depth),
    "normal_bae": Trained(_of_aux("NormalBaeDetector", "filename"), _asked()),
    "seg_ofade20k": Trained(_of_transformers("image-segmentation"), _segments),
    "seg_ufade20k": Trained(_of_transformers("image-segmentation"), _segments),
}
