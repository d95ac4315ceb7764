"""What finds objects and their outlines: YOLO networks in ONNX, which has no header, and SAM as transformers saves it.

    <models>/adetailer/face_yolov8n.onnx
    <models>/sams/sam-vit-base/config.json, model.safetensors
"""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.regular_files import read_config


def describe_object_detector(found: Found) -> Description:
    """Whatever lies in their folder; loading it tells whether it is one."""
    return Description()


def describe_segmenter(found: Found) -> Description:
    """Raises CheckpointError where a file of the folder cannot be read."""
    if read_config(found.path / "config.json").get("model_type") != "sam":
        return Description(problem="it is no SAM as transformers saves one")
    whole = (found.path / "model.safetensors").is_file()
    return Description(problem="" if whole else "its folder lacks model.safetensors")
