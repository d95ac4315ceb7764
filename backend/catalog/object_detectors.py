"""Detectors of objects: YOLO networks in ONNX, which has no header that tells of them."""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.model_files import Found


def describe_object_detector(found: Found) -> Description:
    """Whatever lies in their folder; loading it tells whether it is one."""
    return Description()
