"""What sd-webui-controlnet tells its clients: its version, the models that there are, and the preprocessors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend import ModelFile
from backend.catalog.guide_files import KINDS
from backend.http.dependencies import EntireBackend
from backend.request.guide_unit import MODULES

VERSION = 3                 # of its API
SHORT = 8                   # digits of the hash in a model's name
RESOLUTION = {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8}
SLIDERS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "canny": [RESOLUTION, {"name": "Low Threshold", "value": 100, "min": 1, "max": 255, "step": 1},
              {"name": "High Threshold", "value": 200, "min": 1, "max": 255, "step": 1}],
    "invert": [RESOLUTION],
    "blur_gaussian": [RESOLUTION, {"name": "Sigma", "value": 9, "min": 0.01, "max": 64, "step": 0.01}],
    "tile_resample": [{"name": "Down Sampling Rate", "value": 1, "min": 1, "max": 8, "step": 0.01}],
    "threshold": [RESOLUTION, {"name": "Binarization Threshold", "value": 127, "min": 0, "max": 255, "step": 1}],
    "ip-adapter-auto": [],
    "instant_id_face_keypoints": [],
}

router = APIRouter(prefix="/controlnet")


@router.get("/version")
def version() -> dict[str, int]:
    """The version of the API that is spoken here."""
    return {"version": VERSION}


@router.get("/model_list")
def model_list(backend: EntireBackend, update: bool = True) -> dict[str, list[str]]:
    """The models that a unit may name, with the folders looked through again at `update`."""
    files = [file for kind in KINDS for file in backend.model_files(kind, refresh=update)]
    return {"model_list": [_named(file) for file in files if not file.problem]}


@router.get("/module_list")
def module_list(alias_names: bool = False) -> dict[str, Any]:
    """The preprocessors and their sliders."""
    detail = {name: {"model_free": False, "sliders": SLIDERS[name]} for name in MODULES}
    return {"module_list": list(MODULES), "module_detail": detail}


def _named(file: ModelFile) -> str:
    return f"{file.key} [{file.sha256[:SHORT]}]" if file.sha256 else file.key
