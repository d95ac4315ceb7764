"""Which model files a request needs, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os.path import splitext
from typing import Any

from backend.catalog import vaes
from backend.catalog.background_scan import FileLists
from backend.catalog.face_files import ANTELOPE, BUFFALO, recognition_network, swap_network
from backend.catalog.face_networks import SWAP
from backend.catalog.families import FAMILIES
from backend.catalog.folder_scan import clean_name
from backend.catalog.guide_files import (
    GUIDE,
    annotator_files,
    encoders,
    guide_file,
    guide_models,
    guide_problems,
    with_exact_names,
)
from backend.catalog.kinds import KINDS
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import (
    CHECKPOINT,
    FACE_DETECTOR,
    FACE_MODEL,
    FACE_NETWORK,
    FACE_RESTORER,
    OBJECT_DETECTOR,
    SEGMENTER,
    UPSCALER,
    VAE,
    FileKey,
    ModelFile,
)
from backend.catalog.network_problems import FILE_KINDS, embeddings_named, network_names
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.request.checkpoints import other_checkpoints
from backend.request.choices import AUTOMATIC_VAE, EXTRAS, NO_RESTORER, NO_UPSCALER, PIXEL_UPSCALERS, RESTORERS, VAES
from backend.request.detailer import FACES, is_on
from backend.request.face_swap import NO_FACE_MODEL, swaps
from backend.request.record import place
from backend.request.request import FIELDS, Request

MEDIAPIPE = "mediapipe_"        # in ADetailer's names
VISIBILITY = dict(zip(RESTORERS, ("gfpgan_visibility", "codeformer_visibility"), strict=True))
RESTORER_FOLDERS = dict(zip(RESTORERS, ("GFPGAN", "Codeformer"), strict=True))


@dataclass(frozen=True, slots=True)
class Needed:
    """A file by the name that asks for it, and the field of the request that does."""

    kind: str
    name: str
    field: str

    @property
    def key(self) -> FileKey:
        return self.kind, self.name


def needed(request: Request) -> list[Needed]:
    """All that a job of this request needs."""
    wanted = [Needed(UPSCALER, name, field) for field, name in _upscalers(request)]
    if request.process != EXTRAS:
        wanted.insert(0, Needed(CHECKPOINT, request.checkpoint, "checkpoint"))
        wanted += [Needed(CHECKPOINT, name, field) for field, name in other_checkpoints(request)]
        wanted += [] if request.vae in VAES else [Needed(VAE, request.vae, "vae")]
    restorers = [Needed(FACE_RESTORER, name, field) for name, field in _restorers(request)]
    detector = [Needed(FACE_DETECTOR, "", restorers[0].field)] if restorers else []
    networks = [Needed(kind, name, field) for (kind, name), field in network_names(request).items()]
    guides = [Needed(GUIDE, name, field) for name, field in guide_models(request)]
    restorers += _swapping(request)
    detector += _detectors(request) if request.process != EXTRAS else []
    return [*wanted, *restorers, *detector, *networks, *guides]


def files_of(request: Request, catalog: ModelCatalog) -> dict[FileKey, ModelFile]:
    """The files that a job needs, by kind and name. InvalidRequest names the field of each that is gone or broken."""
    files = _files(needed(request), catalog)
    annotators = annotator_files(request.guides, catalog) if request.process != EXTRAS else {}
    return files | embeddings_named(request, catalog) | encoders(files, catalog) | annotators


def resolved(request: Request, catalog: ModelCatalog) -> Request:
    """The request with the exact names of its upscalers, its VAE, and of the checkpoints that take over.

    InvalidRequest names each field at fault. What a prompt names is looked for when its wildcards are filled in, the
    checkpoint itself by others.
    """
    wanted = [one for one in needed(request) if one.field != "checkpoint" and one.kind not in FILE_KINDS.values()]
    files = _files(wanted, catalog)
    guides = {one.field: files[one.key].key for one in wanted if one.kind == GUIDE}
    request = with_exact_names(request, guides)
    names = {one.field: files[one.key].key for one in wanted if one.kind in (UPSCALER, CHECKPOINT, VAE, FACE_MODEL)}
    changes = {field: name for field, name in names.items() if name != getattr(request, field)}
    return request.replace(**changes) if changes else request


def misfits(request: Request, checkpoint: ModelFile, catalog: ModelCatalog) -> Iterator[Problem]:
    """Files of a resolved request whose latents mean something else than its checkpoint's: others, and a VAE; and
    guides that cannot guide it."""
    yield from guide_problems(request, checkpoint, catalog)
    for field, name in other_checkpoints(request):
        other = catalog.find(CHECKPOINT, name)
        if other.family != checkpoint.family:
            theirs, own = FAMILIES[other.family].label, FAMILIES[checkpoint.family].label
            yield Problem(f"{other.key} is of the family {theirs} and cannot take over from {checkpoint.key}, which is "
                          f"of {own}", field)


    if request.vae not in VAES and (sentence := vaes.misfit(catalog.find(VAE, request.vae), checkpoint)):
        yield Problem(sentence, "vae")


def defaults_here(checkpoint: ModelFile, catalog: FileLists) -> dict[str, Any]:
    """The field values that suit a checkpoint, without a VAE that its side-car prefers and that is not here."""
    absent = absent_preference(checkpoint, catalog)
    return {name: value for name, value in checkpoint.defaults.items() if name != "vae" or not absent}


def absent_preference(checkpoint: ModelFile, catalog: FileLists) -> str:
    """The VAE that a checkpoint's side-car prefers, if it is not here; "" otherwise."""
    name = checkpoint.defaults.get("vae", AUTOMATIC_VAE)
    return "" if name in VAES or _is_here(VAE, name, catalog) else name


def with_vae_beside(request: Request, catalog: ModelCatalog) -> Request:
    """AUTOMATIC1111's "Automatic": the VAE beside the checkpoint with which the picture begins, if there is one."""
    if request.vae != AUTOMATIC_VAE or request.process == EXTRAS:
        return request
    try:
        found = vaes.beside(catalog.find(CHECKPOINT, request.checkpoint), catalog.listed(VAE))
    except NotFound:
        return request          # whoever looks for the checkpoint says so
    return request.replace(vae=found.key) if found else request


def _files(wanted: Iterable[Needed], catalog: ModelCatalog) -> dict[FileKey, ModelFile]:
    files: dict[FileKey, ModelFile] = {}
    problems: list[Problem] = []
    for one in wanted:
        try:
            files[one.key] = file = _found(one, catalog)
            problems += [Problem(file.problem, one.field)] if file.problem else []
        except EaselError as error:
            problems += error.about(one.field)
    if problems:
        raise InvalidRequest(problems=problems)
    return files


def missing_upscalers(values: Mapping[str, Any], catalog: ModelCatalog) -> dict[str, str]:
    """Field -> name of each upscaler that field values name and that is not here."""
    fields = [field for field in FIELDS.values() if field.kind == "upscaler"]
    named = {field.name: str(values[field.name]) for field in fields if field.name in values
             and values[field.name] not in (*field.choices, NO_UPSCALER, "")
             and (field.needs != ("enable_hr",) or values.get("enable_hr"))}
    return {field: clean_name(name) for field, name in named.items() if not _is_here(UPSCALER, name, catalog)}


def _is_here(kind: str, name: str, catalog: FileLists) -> bool:
    try:
        catalog.find(kind, name)
    except NotFound:
        return False
    return True


def restorers_there(catalog: FileLists) -> list[str]:
    """Which of RESTORERS have a file."""
    return [name for name in RESTORERS if _restorer(name, catalog)]


def _found(one: Needed, catalog: ModelCatalog) -> ModelFile:
    """Raises NotFound saying what to do."""
    if one.kind == GUIDE:
        file = guide_file(one.name, catalog)
        encoders({one.key: file}, catalog)
        return file
    if one.kind == FACE_RESTORER:
        if file := _restorer(one.name, catalog):
            return file
        raise NotFound(f"needs a file that is not here: put {one.name}'s model into "
                       f"models/{RESTORER_FOLDERS[one.name]}")
    if one.kind == FACE_NETWORK:
        return swap_network(catalog) if one.name == SWAP else recognition_network((BUFFALO, ANTELOPE), catalog)
    if one.kind == FACE_DETECTOR:
        if files := catalog.usable(FACE_DETECTOR):
            return files[0]
        raise NotFound("needs a file that finds faces: put insightface's det_10g.onnx into models/insightface")
    if one.kind == SEGMENTER:
        if files := catalog.usable(SEGMENTER):
            return files[0]
        raise NotFound("needs SAM, which is not here: put a folder of transformers' SamModel, such as sam-vit-base "
                       "(config.json, model.safetensors), into models/sams")
    if one.kind == OBJECT_DETECTOR:
        return _object_detector(one.name, catalog)
    if one.kind == FACE_MODEL:
        return _face_model(one.name, catalog)
    try:
        return catalog.find(one.kind, one.name)
    except NotFound:
        if one.kind != UPSCALER:
            raise
    there = [*PIXEL_UPSCALERS, *(file.key for file in catalog.usable(UPSCALER))]
    raise NotFound(f"'{clean_name(one.name)[:80]}' is not in the list; there is: {', '.join(there[:20])}")


def _face_model(name: str, catalog: ModelCatalog) -> ModelFile:
    """By its name, with or without its ending. Raises NotFound saying what there is."""
    try:
        return catalog.find(FACE_MODEL, name.removesuffix(".safetensors"))
    except NotFound:
        there = ", ".join(file.key for file in catalog.usable(FACE_MODEL)[:20]) or "none"
    raise NotFound(f"'{clean_name(name)[:80]}' is no face model that is here; there is: {there}. They go into "
                   "models/reactor/faces")


def _object_detector(name: str, catalog: ModelCatalog) -> ModelFile:
    """By its name, or by that of the same network in another file. Raises NotFound saying what there is."""
    stem, ending = splitext(name)
    detector = ending.lower() in KINDS[OBJECT_DETECTOR].endings
    for known in (name, stem) if detector else (name,):
        try:
            return catalog.find(OBJECT_DETECTOR, known)
        except NotFound:
            continue
    said, there = clean_name(name)[:80], ", ".join(_detectors_there(catalog)[:20])
    if name.lower().startswith(MEDIAPIPE):
        raise NotFound(f"'{said}' is a part of MediaPipe, which Easel does not have; what finds things here: {there}")
    if detector:
        raise NotFound(f"'{said}' is not here: put the file into models/adetailer; there is: {there}")
    raise NotFound(f"'{said}' is not in the list; there is: {there}. Others go into models/adetailer: ultralytics' .pt "
                   "files, or their exports to ONNX")


def _detectors_there(catalog: ModelCatalog) -> list[str]:
    faces = FACES if catalog.usable(FACE_DETECTOR) else f"{FACES} (once det_10g.onnx lies in models/insightface)"
    return [faces, *(file.key for file in catalog.usable(OBJECT_DETECTOR))]


def _swapping(request: Request) -> list[Needed]:
    """What puts one face in the place of another, and whose it is where a file tells that."""
    if not swaps(request):
        return []
    model = request.face_swap_model
    field = "face_swap" if model == NO_FACE_MODEL else "face_swap_model"
    known = [] if model == NO_FACE_MODEL else [Needed(FACE_MODEL, model, field)]
    return [*(Needed(FACE_NETWORK, name, field) for name in (BUFFALO, SWAP)), *known]


def _detectors(request: Request) -> list[Needed]:
    """What finds the objects that detailers draw again, and their outlines."""
    units = [(unit.model, place("detailers", number, "model"))
             for number, unit in enumerate(request.detailers) if is_on(unit)]
    outlines = [Needed(SEGMENTER, "", place("detailers", number, "sam"))
                for number, unit in enumerate(request.detailers) if is_on(unit) and unit.sam]
    return [Needed(FACE_DETECTOR, "", field) if name == FACES else Needed(OBJECT_DETECTOR, name, field)
            for name, field in units] + outlines[:1]


def _upscalers(request: Request) -> list[tuple[str, str]]:
    """(field, name) for every upscaler of a request that is a file."""
    fields = [field for field in FIELDS.values() if field.kind == "upscaler" and not request.idle(field)]
    named = [(field.name, getattr(request, field.name)) for field in fields]
    return [(field, name) for field, name in named if name not in (*FIELDS[field].choices, NO_UPSCALER, "")]


def _restorers(request: Request) -> list[tuple[str, str]]:
    """(name, field) for every restorer of faces: of Extras, or of pictures that are drawn."""
    if request.process != EXTRAS:
        wanted = request.face_restoration
        return [] if wanted == NO_RESTORER else [(wanted, "face_restoration")]
    return [(name, field) for name, field in VISIBILITY.items() if getattr(request, field)]


def _restorer(name: str, catalog: FileLists) -> ModelFile | None:
    """The newest by name: GFPGANv1.4 before GFPGANv1.3."""
    files = [file for file in catalog.usable(FACE_RESTORER) if file.facts["restores"] == name]
    return max(files, key=lambda file: file.key, default=None)
