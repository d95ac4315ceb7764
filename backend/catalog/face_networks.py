"""Insightface's files: what each is for, by its name, since ONNX files have no header; and which folder is meant.

    models/insightface/models/antelopev2/glintr100.onnx, scrfd_10g_bnkps.onnx, genderage.onnx, ...
    models/insightface/models/buffalo_l/w600k_r50.onnx, det_10g.onnx, ...
    models/insightface/inswapper_128.onnx

A folder whose easel.json says `only_for`, a model's name or several, is theirs alone: nobody else's faces are seen
through it.
"""

from __future__ import annotations

import re
from pathlib import Path

from backend.catalog.checkpoints import side_car
from backend.catalog.description import Description
from backend.catalog.folder_scan import Found

RECOGNITION, SWAP, OTHER = "recognition", "swap", "other"
DETECTOR = re.compile(r"(det_|scrfd)", re.IGNORECASE)
_BESIDE = re.compile(r"(1k3d68|2d106|genderage|face_age|liveness|landmark)", re.IGNORECASE)
_SWAPS = re.compile(r"(inswapper|reswapper)", re.IGNORECASE)
_AGE = re.compile(r"genderage", re.IGNORECASE)
_OUTLINE = re.compile(r"2d106", re.IGNORECASE)


def describe_face_detector(found: Found) -> Description | None:
    """SCRFD by its name; None for other networks, and for what belongs to one IP-Adapter."""
    return Description() if DETECTOR.match(found.stem) and not only_for(found.path) else None


def describe_face_network(found: Found) -> Description | None:
    """What it `does`, and the models that it is `only_for`; None for detectors."""
    if DETECTOR.match(found.stem):
        return None
    does = SWAP if _SWAPS.search(found.stem) else OTHER if _BESIDE.search(found.stem) else RECOGNITION
    return Description(facts={"does": does, "only_for": only_for(found.path)})


def only_for(path: Path) -> tuple[str, ...]:
    """The models, IP-Adapters and ControlNets, to which the folder of a network belongs; () where it is anybody's."""
    told = side_car(path.parent).get("only_for")
    return tuple(name for name in (told if isinstance(told, list) else [told]) if isinstance(name, str) and name)


def detectors_beside(recognition: Path) -> list[Path]:
    """What finds faces in the folder of a recognition network."""
    return sorted(path for path in recognition.parent.glob("*.onnx") if DETECTOR.match(path.stem))


def beside(recognition: Path) -> list[Path]:
    """The files of a folder that face analysis needs: the recognition network, a detector, and where they are there,
    what tells ages and what finds 106 key points."""
    there = sorted(path for path in recognition.parent.glob("*.onnx") if path != recognition)
    more = [[path for path in there if kind.search(path.stem)][:1] for kind in (_AGE, _OUTLINE)]
    return [recognition, *detectors_beside(recognition)[:1], *more[0], *more[1]]
