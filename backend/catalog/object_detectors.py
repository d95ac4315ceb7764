"""What finds objects and their outlines: YOLO networks as ultralytics saves or exports them, SAM as transformers does.

    <models>/adetailer/face_yolov8n.pt
    <models>/adetailer/hand_yolov8n.onnx
    <models>/sams/sam-vit-base/config.json, model.safetensors
"""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.yolo_checkpoints import read_yolo
from backend.files.regular_files import read_config


def describe_object_detector(found: Found) -> Description:
    """An ONNX file has no header, loading it tells whether it is one. CheckpointError for a .pt file that is none."""
    if found.path.suffix.lower() == ".pt":
        read_yolo(found.path)
    return Description()


def describe_segmenter(found: Found) -> Description:
    """Raises CheckpointError where a file of the folder cannot be read."""
    if read_config(found.path / "config.json").get("model_type") != "sam":
        return Description(problem="it is no SAM as transformers saves one")
    whole = (found.path / "model.safetensors").is_file()
    return Description(problem="" if whole else "its folder lacks model.safetensors")
