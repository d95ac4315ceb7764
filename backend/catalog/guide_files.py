"""The models of a request's guides: which there are, and whether they go with its checkpoint, told from headers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.catalog.checkpoints import side_car
from backend.catalog.face_files import ANTELOPE, BUFFALO, recognition_network
from backend.catalog.families import FAMILIES, base
from backend.catalog.folder_scan import clean_name
from backend.catalog.ip_adapters import FACE, FACE_PLUS, RAW_FACE
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import (
    ANNOTATOR,
    CLIP_VISION,
    CONTROLNET,
    INSTANT_ID,
    IP_ADAPTER,
    T2I_ADAPTER,
    FileKey,
    ModelFile,
)
from backend.catalog.module_shapes import modules_of
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.request.choices import EXTRAS
from backend.request.guide_modules import INPAINT, KEY_POINTS, MODULES, NO_MODULE, UNION_KINDS, Module
from backend.request.guide_unit import AUTOMATIC, NO_MODEL, union_kind
from backend.request.ip_adapter_weight_types import read_weights
from backend.request.output_size import Margins
from backend.request.record import Record, place
from backend.request.request import Request

GUIDES = "guides"
GUIDE = "guide"                         # in a job's files: whatever kind of model a unit names
GUIDE_FACES = "guide faces"             # and the network through which that model sees faces
KINDS = (CONTROLNET, T2I_ADAPTER, IP_ADAPTER, INSTANT_ID)
PROMPTS = (IP_ADAPTER, INSTANT_ID)      # whose picture is a prompt
KNOWS_FACES = {FACE: BUFFALO, FACE_PLUS: BUFFALO, RAW_FACE: ANTELOPE}   # what was in use where each was trained
TOWERS = {("embedding", 1024): "ViT-H", ("inner", 1280): "ViT-H", ("embedding", 1280): "ViT-bigG",
          ("inner", 1664): "ViT-bigG", ("embedding", 768): "ViT-L", ("inner", 1024): "ViT-L"}
EDITS = "-edit"                         # the end of the names of families that edit pictures by words
MOST_NAMES = 20
LABELS = {CONTROLNET: "a ControlNet", T2I_ADAPTER: "a T2I-Adapter", IP_ADAPTER: "an IP-Adapter",
          INSTANT_ID: "InstantID's IP-Adapter"}
ANNOTATORS = "annotators"               # the folder of what preprocessors need
FOLDERS = {name: f"a folder {name} with the files of Hugging Face's {model}" for name, model in (
    ("depth_anything", "LiheYoung/depth-anything-small-hf"),
    ("depth_anything_v2", "depth-anything/Depth-Anything-V2-Small-hf"),
    ("oneformer_ade20k", "shi-labs/oneformer_ade20k_swin_tiny"),
    ("upernet_ade20k", "openmmlab/upernet-convnext-tiny"))}
PREFERABLE = ("weight", "control_mode", "resize_mode", "threshold_a", "threshold_b")    # by the file beside a model

log = logging.getLogger(__name__)


def guide_models(request: Request) -> list[tuple[str, str]]:
    """(name, field) of the model of each unit that is on."""
    return [(unit.model, place(GUIDES, number, "model")) for number, unit in _on(request)
            if unit.model != NO_MODEL and MODULES[unit.module].kind != "reference"]


def with_exact_names(request: Request, names: Mapping[str, str]) -> Request:
    """The request with these names of models, by field."""
    units = [Record({**unit, "model": names.get(place(GUIDES, number, "model"), unit.model)})
             for number, unit in enumerate(request.guides)]
    return request.replace(guides=tuple(units)) if tuple(units) != request.guides else request


def guide_problems(request: Request, checkpoint: ModelFile, catalog: ModelCatalog) -> Iterator[Problem]:
    """What units of a resolved request lack, and models that cannot guide its checkpoint."""
    if any(region.mask for region in request.regions) and checkpoint.family.endswith(EDITS):
        yield Problem("do nothing with a checkpoint that edits pictures: remove them", "regions")
    for number, unit in _on(request):
        if not unit.image and not request.init_image and not unit.more_images:
            yield Problem("is missing: choose a picture for the unit", place(GUIDES, number, "image"))
        if why := missing_files(MODULES[unit.module], catalog, unit.model):
            yield Problem(why, place(GUIDES, number, "module"))
        if unit.start >= unit.end:
            yield Problem("must be before the ending step", place(GUIDES, number, "start"))
        if unit.mask and MODULES[unit.module].kind not in ("hint", "picture_prompt"):
            yield Problem(f"does nothing with {unit.module}, which acts everywhere: remove it",
                          place(GUIDES, number, "mask"))
        if unit.module == INPAINT and not (unit.mask or request.mask or Margins.of(request)):
            yield Problem("is missing: mark what is to be painted anew, in the unit's picture or in img2img's",
                          place(GUIDES, number, "mask"))
        if MODULES[unit.module].kind == "reference":
            continue
        if unit.model == NO_MODEL:
            yield Problem("is missing: choose a model for the unit", place(GUIDES, number, "model"))
            continue
        try:
            file = guide_file(unit.model, catalog)
            why = file.problem or misfit(file, checkpoint)
            if not why:
                encoders({(file.kind, file.key): file}, catalog)
            yield from _wrong_module(file, unit, number)
            yield from _wrong_kind(file, unit, number)
            yield from _wrong_weights(file, unit, number, checkpoint)
            yield from _lonely(file, unit, number, request, catalog)
        except EaselError as error:
            yield from error.about(place(GUIDES, number, "model"))
        else:
            yield from [Problem(why, place(GUIDES, number, "model"))] if why else []


def misfit(file: ModelFile, checkpoint: ModelFile) -> str:
    """Why a model cannot guide a checkpoint, as a sentence; "" when it can. Raises CheckpointError."""
    unet = modules_of(checkpoint).get("unet", {})
    if not unet or file.problem or _fits(file, unet, base(checkpoint.family)):
        return ""
    if file.family and file.family != base(checkpoint.family):
        return (f"{file.key} is made for {_label(file.family)} and cannot guide {checkpoint.key}, which is "
                f"{_label(checkpoint.family)}")
    return f"{file.key} is made for networks of another size and cannot guide {checkpoint.key}"


def guide_file(name: str, catalog: ModelCatalog) -> ModelFile:
    """The model that a unit names, of whatever kind. Raises NotFound saying what there is."""
    for kind in KINDS:
        try:
            return catalog.find(kind, name)
        except NotFound:
            continue
    there = [file.key for kind in KINDS for file in catalog.usable(kind)]
    raise NotFound(f"'{clean_name(name)[:80]}' is not in the list; there is: {', '.join(there[:MOST_NAMES])}" if there
                   else f"'{clean_name(name)[:80]}' is not here; put ControlNets into models/controlnet")


def encoders(files: Mapping[FileKey, ModelFile], catalog: ModelCatalog) -> dict[FileKey, ModelFile]:
    """What the guides among a job's files look at pictures through, by the file's key: picture towers, and networks
    that know faces. NotFound.
    """
    found: dict[FileKey, ModelFile] = {}
    for file in files.values():
        if file.kind not in KINDS or file.problem:
            continue
        if "layer" in file.facts:
            found[CLIP_VISION, file.key] = _encoder_of(file, catalog)
        if wanted := KNOWS_FACES.get(file.facts.get("sees", "")):
            found[GUIDE_FACES, file.key] = _face_network(file.key, wanted, catalog)
    return found


def _face_network(key: str, wanted: str, catalog: ModelCatalog) -> ModelFile:
    others = [name for name in (ANTELOPE, BUFFALO) if name != wanted]
    try:
        return recognition_network((wanted, *others), catalog, key)
    except NotFound as error:
        raise NotFound(f"{key} {error.problems[0].message}") from error


def reads_key_points(unit: Mapping[str, Any]) -> bool:
    """Whether a ControlNet is InstantID's: such a file's shapes are those of any other."""
    name = unit["model"].casefold().replace("_", "").replace("-", "")
    return unit["module"] == KEY_POINTS or "instantid" in name


def missing_files(module: Module, catalog: ModelCatalog, model: str = "") -> str:
    """Which file of a preprocessor goes where, as a sentence; "" when all are there, those of `model`'s own counted."""
    if module.name == KEY_POINTS:
        return _lacks_face_network(catalog, model)
    lacking = [name for name in module.files if not _annotator(name, catalog)]
    if not lacking:
        return ""
    these = "them" if len(lacking) > 1 else "it"
    named = " and ".join(FOLDERS.get(name, name) for name in lacking)
    return f"{module.name} needs {named}, not here yet: put {these} into models/{ANNOTATORS}"


def preferred(file: ModelFile) -> dict[str, Any]:
    """What the JSON file beside a model wants of its units, under "guide"; nothing of what a unit cannot have."""
    told = side_car(Path(file.path)).get("guide")
    if not isinstance(told, Mapping):
        return {}
    values = {name: value for name, value in told.items() if name in PREFERABLE}
    try:
        unit = Request.parse({GUIDES: [{**values, "enabled": True}]}).guides[0]
    except InvalidRequest as error:
        log.warning("what %s wants is ignored: %s", file.key, error)
        return {}
    return {name: unit[name] for name in values}


def annotator_files(units: Iterable[Mapping[str, Any]], catalog: ModelCatalog) -> dict[FileKey, ModelFile]:
    """The files that the preprocessors of units need. Raises InvalidRequest that names the unit's preprocessor."""
    files: dict[FileKey, ModelFile] = {}
    for number, unit in enumerate(units):
        module = MODULES[unit["module"]]
        if unit["enabled"] and (why := missing_files(module, catalog, unit["model"])):
            raise InvalidRequest(why, field=place(GUIDES, number, "module"))
        for name in module.files if unit["enabled"] else ():
            files[ANNOTATOR, name] = _annotator(name, catalog)
        if unit["enabled"] and module.name == KEY_POINTS:
            files[GUIDE_FACES, unit["model"]] = recognition_network((ANTELOPE, BUFFALO), catalog, unit["model"])
    return files


def _annotator(name: str, catalog: ModelCatalog) -> ModelFile | None:
    try:
        return catalog.find(ANNOTATOR, name)
    except NotFound:
        return None


def _encoder_of(file: ModelFile, catalog: ModelCatalog) -> ModelFile:
    """The picture tower that an IP-Adapter looks through. Raises NotFound saying which to put where."""
    layer, wide = file.facts["layer"], file.facts["wide"]
    found = next((tower for tower in catalog.usable(CLIP_VISION) if tower.facts.get(layer) == wide), None)
    if found is None:
        name = TOWERS.get((layer, wide), f"of {wide} numbers")
        raise NotFound(f"{file.key} looks at pictures through CLIP {name}, which is not here: put its picture encoder "
                       "(model.safetensors with its config.json, or one file) into models/clip_vision")
    return found


def _wrong_module(file: ModelFile, unit: Record, number: int) -> Iterator[Problem]:
    kind, module = MODULES[unit.module].kind, unit.module
    wanted = "picture_prompt" if file.kind in PROMPTS else "style" if "layer" in file.facts else "hint"
    if kind != wanted and module != NO_MODULE:
        yield Problem(f"{module} does not go with {file.key}, which is {LABELS[file.kind]}",
                      place(GUIDES, number, "module"))


def _wrong_kind(file: ModelFile, unit: Record, number: int) -> Iterator[Problem]:
    """Union and ProMax differ in how many kinds of hints they know."""
    kinds, shown = file.facts.get("kinds", 0), union_kind(unit)
    if not kinds or shown < kinds:
        return
    kind, known = UNION_KINDS[shown], ", ".join(UNION_KINDS[:kinds])
    if unit.union_type == AUTOMATIC:
        yield Problem(f"{unit.module} makes {kind}, which {file.key} does not know; it knows: {known}",
                      place(GUIDES, number, "module"))
    else:
        yield Problem(f"is {kind}, which {file.key} does not know; it knows: {known}",
                      place(GUIDES, number, "union_type"))


def _wrong_weights(file: ModelFile, unit: Record, number: int, checkpoint: ModelFile) -> Iterator[Problem]:
    field = place(GUIDES, number, "block_weights")
    if file.kind not in PROMPTS or not unit.block_weights.strip():
        return
    try:
        found, count = read_weights(unit.block_weights), _listening_blocks(checkpoint)
    except ValueError as error:
        yield Problem(str(error), field)
        return
    if count and isinstance(found, list) and len(found) != count:
        yield Problem(f"has {len(found)} numbers; {checkpoint.key} has {count} blocks", field)
    if count and isinstance(found, dict) and max(found) >= count:
        yield Problem(f"names block {max(found)}; {checkpoint.key} has {count}, counted from 0", field)


def _listening_blocks(checkpoint: ModelFile) -> int:
    """How many blocks of a checkpoint's network have attention to words; 0 where that is not told."""
    listening = (name for name in modules_of(checkpoint).get("unet", {}) if name.endswith("attn2_to_k"))
    return len({name.partition("_transformer_blocks_")[0] for name in listening})


def _lonely(
    file: ModelFile, unit: Record, number: int, request: Request, catalog: ModelCatalog
) -> Iterator[Problem]:
    """InstantID's ControlNet without the other part, which tells it whom to draw."""
    if file.kind != CONTROLNET or not reads_key_points(unit):
        return
    named = {other.model for _, other in _on(request)}
    if not any(each.key in named for each in catalog.usable(INSTANT_ID)):
        yield Problem(f"{file.key} draws whom InstantID's IP-Adapter tells it: add a unit with that", place(
            GUIDES, number, "model"))


def _lacks_face_network(catalog: ModelCatalog, model: str) -> str:
    try:
        recognition_network((ANTELOPE, BUFFALO), catalog, model)
    except NotFound as error:
        return f"{KEY_POINTS} {error.problems[0].message}"
    return ""


def _fits(file: ModelFile, unet: Mapping[str, tuple[int, ...]], family: str) -> bool:
    listening = [shape for name, shape in unet.items() if name.endswith("attn2_to_k")]
    if file.kind in PROMPTS:
        return list(file.facts["keys"]) == sorted(shape[:2] for shape in listening)
    wide, first = {shape[1] for shape in listening}, file.facts.get("first", 0)
    words = bool(wide & set(file.facts["words"])) if "words" in file.facts else file.family == family
    return words and (not first or first == unet.get("conv_in", (first,))[0])


def _on(request: Request) -> list[tuple[int, Record]]:
    units = enumerate(request.guides) if request.process != EXTRAS else ()
    return [(number, unit) for number, unit in units if unit.enabled]


def _label(family: str) -> str:
    return FAMILIES[family].label if family in FAMILIES else "another family"
