"""What sd-webui-controlnet tells its clients: its version, the models that there are, and the preprocessors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend import ModelFile
from backend.catalog.guide_files import KINDS
from backend.http.dependencies import EntireBackend
from backend.request.guide_modules import MODULES, Module, Slider

VERSION = 3                 # of its API
SHORT = 8                   # digits of the hash in a model's name
RESOLUTION = {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8}
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
    """The preprocessors and their sliders; with `alias_names` under the names that people read."""
    names = [module.label if alias_names else name for name, module in MODULES.items()]
    detail = {name: {"model_free": module.kind == "reference", "sliders": _sliders(module)}
              for name, module in zip(names, MODULES.values(), strict=True)}
    return {"module_list": names, "module_detail": detail}


def _sliders(module: Module) -> list[dict[str, Any]]:
    return [*([RESOLUTION] if module.sized else []), *(_slider(each) for each in (module.a, module.b) if each)]


def _slider(slider: Slider) -> dict[str, Any]:
    return {"name": slider.label, "value": slider.usual, "min": slider.minimum, "max": slider.maximum,
            "step": slider.step}


def _named(file: ModelFile) -> str:
    return f"{file.key} [{file.sha256[:SHORT]}]" if file.sha256 else file.key
