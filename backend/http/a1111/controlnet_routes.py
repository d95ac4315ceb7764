"""What sd-webui-controlnet tells its clients: its version, the models that there are, and the preprocessors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter

from backend import Door, ModelFile
from backend.catalog.guide_files import KINDS
from backend.errors import InvalidRequest, Problem, UserError
from backend.http.a1111.controlnet_units import is_inpainting, unit_values
from backend.http.dependencies import EntireBackend, FrontDoor
from backend.image import upload_decoding
from backend.request.guide_choices import GUIDE_CHOICES, INSTANT_ID
from backend.request.guide_modules import MODULES, NO_MODULE, POSES, Module, Slider, module_of
from backend.request.guide_unit import MOST, NO_MODEL
from backend.store.uploads import Upload

VERSION = 3                 # of its API
SHORT = 8                   # digits of the hash in a model's name
RESOLUTION = {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8}
PICTURES = ("controlnet_input_images", "controlnet_images")        # the second as webuiapi calls it
MASKS = "controlnet_masks"
DETECTS = {"controlnet_processor_res": "processor_res", "controlnet_threshold_a": "threshold_a",
           "controlnet_threshold_b": "threshold_b"}
ASKED = {f"guides[0].{name}": key for key, name in DETECTS.items()} | {"guides[0].module": "controlnet_module"}
PARTS = {"pose_keypoints_2d": "body", "hand_left_keypoints_2d": "left_hand", "hand_right_keypoints_2d": "right_hand",
         "face_keypoints_2d": "face"}
ALL = "All"
# The names that sd-webui-controlnet has for what to guide by -> those of GUIDE_CHOICES
TYPES: Mapping[str, tuple[str, ...]] = {
    "Canny": ("edges",), "Depth": ("depth",), "NormalMap": ("normals",), "OpenPose": ("pose",),
    "MLSD": ("straight_lines",), "Lineart": ("lines",), "SoftEdge": ("soft_edges",), "Scribble": ("scribble",),
    "Sketch": ("scribble",), "Segmentation": ("segments",), "Shuffle": ("shuffle",), "Tile": ("tiles",),
    "Blur": ("blur",), "Inpaint": ("inpaint",), "InstructP2P": ("instruct",), "Reference": ("reference",),
    "Recolor": ("recolour",), "T2I-Adapter": ("colours", "style"), "IP-Adapter": ("picture", "face"),
    "Instant-ID": ("face", "face_points"),
}
WORDS: Mapping[str, tuple[str, ...]] = {"Instant-ID": INSTANT_ID}     # in the names of its models, where not as usual

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


@router.get("/control_types")
def control_types(backend: EntireBackend) -> dict[str, Any]:
    """For each thing to guide by the preprocessors and models that serve it, and what to begin with."""
    files = [file for kind in KINDS for file in backend.model_files(kind) if not file.problem]
    everything = _type(list(MODULES), files, NO_MODULE)
    return {"control_types": {ALL: everything} | {name: _type_of(name, files) for name in TYPES}}


@router.get("/settings")
def settings() -> dict[str, int]:
    """How many units a request may have."""
    return {"control_net_unit_count": MOST}


@router.post("/detect")
def detect(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """What a preprocessor makes of each picture, in base64."""
    pictures = next(filter(None, map(payload.get, PICTURES)), None)
    asked = {"module": payload.get("controlnet_module")} | {key: payload.get(name) for name, key in DETECTS.items()}
    unit = {"module": NO_MODULE} | dict(unit_values(asked))
    if not isinstance(pictures, list) or not pictures:
        raise InvalidRequest("must be a list of pictures", field=PICTURES[0])
    if payload.get(MASKS) and is_inpainting(unit["module"]):
        raise InvalidRequest("is not something that Easel has: a mask counts in the unit of a picture", field=MASKS)
    units = [{**unit, "image": _sent(door, picture)} for picture in pictures]
    try:
        made = [door.guides.preview(each) for each in units]
        poses = [_pose(door, each, shown) for each, shown in zip(units, made, strict=True) if _finds_poses(each)]
    except InvalidRequest as error:
        raise InvalidRequest(problems=[Problem(problem.message, ASKED.get(problem.field, problem.field))
                                       for problem in error.problems]) from error
    images = [base64.b64encode(door.uploaded(each.id).read_bytes()).decode("ascii") for each in made]
    return {"images": images, "info": "Success"} | ({"poses": poses} if poses else {})


def _sent(door: Door, picture: Any) -> str:
    """The id of its upload."""
    try:
        return door.upload(upload_decoding.from_base64(picture)).id
    except UserError as error:
        raise InvalidRequest(str(error), field=PICTURES[0]) from error


def _finds_poses(unit: Mapping[str, Any]) -> bool:
    return module_of(unit["module"]).name in POSES


def _pose(door: Door, unit: Mapping[str, Any], shown: Upload) -> dict[str, Any]:
    """Whoever is in a picture, as OpenPose's JSON has it: x, y in pixels of what is shown, and 1, or 0 for none."""
    people = json.loads(door.guides.points(unit))
    return {"people": [{key: _flat(person.get(part), shown) for key, part in PARTS.items()} for person in people],
            "canvas_width": shown.width, "canvas_height": shown.height}


def _flat(points: Sequence[Sequence[float] | None] | None, shown: Upload) -> list[float] | None:
    if not points:
        return None
    return [number for point in points
            for number in ((point[0] * shown.width, point[1] * shown.height, 1.0) if point else (0.0, 0.0, 0.0))]


def _type_of(name: str, files: Sequence[ModelFile]) -> dict[str, Any]:
    usual = [GUIDE_CHOICES[each] for each in TYPES[name]]
    choices = [replace(choice, models=WORDS.get(name, choice.models)) for choice in usual]
    modules = [module for choice in choices for module in choice.modules]
    serving = [file for choice in choices for word in choice.models for file in files
               if file.kind in choice.kinds and choice.served_by(file.key, word)]
    return _type(list(dict.fromkeys([NO_MODULE, *modules])), list({file.key: file for file in serving}.values()),
                 modules[0])


def _type(modules: list[str], files: Sequence[ModelFile], module: str) -> dict[str, Any]:
    models = [_named(file) for file in files]
    return {"module_list": modules, "model_list": [NO_MODEL, *models], "default_option": module,
            "default_model": models[0] if models and module != NO_MODULE else NO_MODEL}


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
