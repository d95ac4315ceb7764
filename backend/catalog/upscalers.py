"""The upscalers and face restorers that lie in the models folders: found, named, and told apart by their headers.

    <models>/upscalers/**                                   files of any architecture that spandrel reads
    <models>/ESRGAN, RealESRGAN, SwinIR, DAT, HAT, ScuNET   the same in AUTOMATIC1111's folders
    <models>/GFPGAN, Codeformer                             face restorers in AUTOMATIC1111's folders
    <models>/insightface/**/*.onnx                          SCRFD, which finds the faces
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.catalog.headers import Shapes, read_shapes
from backend.catalog.model_files import clean_name, files_below
from backend.errors import CheckpointError, InvalidRequest, NotFound, Problem
from backend.messages import FACE_DETECTOR, UpscalerFile
from backend.request.request import FIELDS, PIXEL_UPSCALERS, Request
from backend.request.rules import NO_UPSCALER

FOLDERS = ("upscalers", "ESRGAN", "RealESRGAN", "SwinIR", "DAT", "HAT", "ScuNET")
FACE_FOLDERS = ("GFPGAN", "Codeformer")
DETECTOR_FOLDER = "insightface"
ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")
GFPGAN, CODEFORMER = RESTORERS = ("GFPGAN", "CodeFormer")
VISIBILITY = {GFPGAN: "gfpgan_visibility", CODEFORMER: "codeformer_visibility"}

# The files behind AUTOMATIC1111's own names.
ALIASES = {
    "r-esrgan 4x+": "RealESRGAN_x4plus", "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan 2x+": "RealESRGAN_x2plus", "r-esrgan general 4xv3": "realesr-general-x4v3",
    "r-esrgan general wdn 4xv3": "realesr-general-wdn-x4v3", "r-esrgan animevideo": "realesr-animevideov3",
    "dat x2": "DAT_x2", "dat x3": "DAT_x3", "dat x4": "DAT_x4", "scunet gan": "scunet_color_real_gan",
    "scunet psnr": "scunet_color_real_psnr",
    "swinir 4x": "SwinIR_4x",
}
_SCALE_IN_NAME = re.compile(r"(?<![\d.])(\d)x|x(\d)(?![\d])", re.IGNORECASE)
_DETECTOR = re.compile(r"(det_|scrfd)", re.IGNORECASE)

Mark = tuple[int, int]


class UpscalerCatalog:
    """All upscalers of the `models` folders, earlier folders first. Safe to use from many threads."""

    def __init__(self, models: tuple[Path, ...]) -> None:
        self.models = tuple(Path(folder) for folder in models)
        self._seen: dict[Path, tuple[Mark, UpscalerFile]] = {}
        self._listed: list[UpscalerFile] | None = None

    def scan(self) -> list[UpscalerFile]:
        """Look through the folders: every file by name, broken ones with their `problem`. Never raises."""
        found: dict[str, UpscalerFile] = {}
        for path, only_faces in self._search():
            file = self._described(path)
            if file and file.name not in found and (file.restores or not only_faces):
                found[file.name] = file
        self._listed = sorted(found.values(), key=lambda file: file.name.casefold())
        return self._listed

    def listed(self) -> list[UpscalerFile]:
        """What the last look through the folders found."""
        return self.scan() if self._listed is None else self._listed

    def usable(self) -> list[UpscalerFile]:
        """Those that enlarge pictures and can be read."""
        return [file for file in self.listed() if not file.restores and not file.problem]

    def restorers(self) -> list[str]:
        """Which of RESTORERS have a file."""
        return [kind for kind in RESTORERS if self._restorer(kind)]

    def find(self, name: str) -> UpscalerFile:
        """By name in any spelling, file name, or AUTOMATIC1111's name. Raises NotFound saying what there is."""
        wanted = name.strip().casefold()
        wanted = ALIASES.get(wanted, wanted).casefold()
        for listed in (self._listed or [], self.scan()):
            for file in listed:
                names = file.name.casefold(), clean_name(Path(file.path).name).casefold()
                if wanted in names and not file.restores and Path(file.path).is_file():
                    return file
        there = [*PIXEL_UPSCALERS, *(file.name for file in self.usable())]
        raise NotFound(f"'{clean_name(name)[:80]}' is not in the list; there is: {', '.join(there[:20])}")

    def missing(self, values: Mapping[str, Any]) -> Iterator[str]:
        """A sentence for each upscaler that field values name and that is not here."""
        fields = [field for field in FIELDS.values() if field.kind == "upscaler"]
        named = {str(values[field.name]) for field in fields if values.get(field.name, NO_UPSCALER) not in field.choices
                 and (field.needs != ("enable_hr",) or values.get("enable_hr"))}
        for name in sorted(named - {NO_UPSCALER, ""}):
            try:
                self.find(name)
            except NotFound:
                yield f"The upscaler {clean_name(name)} is not in the models folders."

    def resolved(self, request: Request) -> Request:
        """The request with its upscalers' exact names. Raises InvalidRequest naming each field that names none."""
        problems, names = [], {}
        for field, name in _named(request):
            try:
                file = self.find(name)
                names[field] = file.name
                problems += [Problem(file.problem, field)] if file.problem else []
            except NotFound as error:
                problems += error.about(field)
        problems += self._missing(request)
        if problems:
            raise InvalidRequest(problems=problems)
        return request.replace(**names) if names else request

    def of(self, request: Request) -> dict[str, UpscalerFile]:
        """The files that a job of this request needs, by name. Raises InvalidRequest when one is gone."""
        self.resolved(request)
        files = {name: replace(self.find(name), field=field) for field, name in _named(request)}
        kinds = _restoring(request)
        wanted = {kind: self._restorer(kind) for kind in kinds} | dict.fromkeys(
            [FACE_DETECTOR] if kinds else [], self._detector())
        fields = VISIBILITY | dict.fromkeys([FACE_DETECTOR], VISIBILITY[kinds[0]] if kinds else "")
        return files | {name: replace(file, field=fields[name]) for name, file in wanted.items() if file}

    def _missing(self, request: Request) -> Iterator[Problem]:
        kinds = _restoring(request)
        if kinds:
            self.scan()
        for kind in kinds:
            folder = dict(zip(RESTORERS, FACE_FOLDERS, strict=True))[kind]
            if not self._restorer(kind):
                yield Problem(f"needs a file that is not here: put {kind}'s model into models/{folder}",
                              VISIBILITY[kind])
            elif not self._detector():
                yield Problem("needs a file that finds faces: put insightface's det_10g.onnx into "
                              f"models/{DETECTOR_FOLDER}", VISIBILITY[kind])

    def _restorer(self, kind: str) -> UpscalerFile | None:
        """The newest by name: GFPGANv1.4 before GFPGANv1.3."""
        files = [file for file in self.listed() if file.restores == kind and not file.problem]
        return max(files, key=lambda file: file.name, default=None)

    def _detector(self) -> UpscalerFile | None:
        for models in self.models:
            for path in files_below(models / DETECTOR_FOLDER, (".onnx",)):
                if _DETECTOR.match(path.name):
                    return UpscalerFile(FACE_DETECTOR, str(path))
        return None

    def _search(self) -> Iterator[tuple[Path, bool]]:
        """Files, and whether they lie where only face restorers are looked for."""
        for models in self.models:
            for folder in (*FOLDERS, *FACE_FOLDERS):
                for path in files_below(models / folder, ENDINGS):
                    yield path, folder in FACE_FOLDERS

    def _described(self, path: Path) -> UpscalerFile | None:
        """What a file is, read again only when it has changed; None when it has gone in this moment."""
        try:
            mark = path.stat().st_size, path.stat().st_mtime_ns
        except OSError:
            return None
        seen = self._seen.get(path)
        if seen is None or seen[0] != mark:
            seen = self._seen[path] = mark, describe(path)
        return seen[1]


def describe(path: Path) -> UpscalerFile:
    """Name, scale and kind of a file from its header; nothing in it is run."""
    name = clean_name(path.stem)
    try:
        shapes = read_shapes(path)
    except CheckpointError as error:
        return UpscalerFile(name, str(path), problem=str(error))
    if not shapes:
        return UpscalerFile(name, str(path), problem="the file holds no tensors")
    return UpscalerFile(name, str(path), _scale(shapes, name), restores=_restores(shapes))


def _named(request: Request) -> list[tuple[str, str]]:
    """(field, name) for every upscaler of a request that is a file."""
    fields = [field for field in FIELDS.values() if field.kind == "upscaler" and not request.idle(field)]
    named = [(field.name, getattr(request, field.name)) for field in fields]
    return [(field, name) for field, name in named if name not in (*FIELDS[field].choices, NO_UPSCALER, "")]


def _restoring(request: Request) -> list[str]:
    wanted = [kind for kind, field in VISIBILITY.items() if getattr(request, field)]
    return [kind for kind in wanted if not request.idle(FIELDS[VISIBILITY[kind]])]


def _restores(shapes: Shapes) -> str:
    if any("stylegan_decoder." in name for name in shapes):
        return GFPGAN
    plain = {name.removeprefix("module.").removeprefix("netG.") for name in shapes}
    return CODEFORMER if {"position_emb", "quantize.embedding.weight"} <= plain else ""


def _scale(shapes: Shapes, name: str) -> int:
    """How much a network enlarges, where counting its layers tells that; else what the file's name says; else 0."""
    ups = {key for key in shapes if re.fullmatch(r"conv_up\d\.weight", key)}
    if ups and "conv_first.weight" in shapes:           # ESRGAN in its newer names; it may fold the picture first
        folded = max(shapes["conv_first.weight"][1] // 3, 1)
        return round(2 ** len(ups) / folded**0.5)
    body = [int(found[1]) for key in shapes if (found := re.fullmatch(r"body\.(\d+)\.weight", key))]
    if body and "body.0.weight" in shapes and not ups:  # Real-ESRGAN's compact network
        outwards = shapes[f"body.{max(body)}.weight"][0]
        return round((outwards / shapes["body.0.weight"][1])**0.5)
    said = _SCALE_IN_NAME.search(name)
    return int(said[1] or said[2]) if said else 0
