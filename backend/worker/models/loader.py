"""From a path to a model in memory: single files in the original layout, and diffusers folders. Always offline."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from backend.catalog.families import FAMILIES, cell, why_not
from backend.catalog.fingerprints import fingerprint
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_config
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.compiled_regions import compiled_regions
from backend.worker.models.load_errors import loading
from backend.worker.models.model_base import Component, Components, Model
from backend.worker.models.prediction_type import MARKS, file_parametrisation, folder_parametrisation, is_told
from backend.worker.models.tensor_files import Format, read_tensors

_WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
_AS_STORED = Format(torch.device("cpu"), None)


def loader_of(family: str) -> type[Model]:
    """The class that loads a family which can be used, from the module that the family's row names."""
    module, _, name = FAMILIES[family].loader.partition(":")
    return getattr(importlib.import_module(module), name)


def load(checkpoint: ModelFile, placement: Placement) -> Model:
    """Read a checkpoint and put it onto the placement's device. A hash that is not known is computed beside its use.

    Raises CheckpointError, whose sentence names the checkpoint, when the file is missing, broken, incomplete, unsafe,
    or of a family Easel cannot load.
    """
    loaded = fingerprint(checkpoint.path)
    with loading(checkpoint, field="checkpoint"):
        if problem := checkpoint.problem or why_not(checkpoint.family):
            raise CheckpointError(problem)
        family = loader_of(checkpoint.family)
        components, parametrisation, is_told = _read(checkpoint, family, placement)
        model = family.build(checkpoint, components, parametrisation, placement)
        model.parametrisation = parametrisation if is_told else model.tried_parametrisation()
        model.compiled = compiled_regions(model.denoiser)
        _check_cells(model)
    if not checkpoint.sha256:
        model.background_hash = BackgroundHash(checkpoint.path, loaded)
    return model


def _check_cells(model: Model) -> None:
    """Sizes are checked against the family's row before they come here. Raises CheckpointError."""
    if (expected := cell(model.checkpoint.family)) % model.latent_scale:
        raise CheckpointError(f"its VAE has {model.latent_scale} pixels per latent cell, and its family {expected}")


def _read(
    checkpoint: ModelFile, family: type[Model], placement: Placement
) -> tuple[Components, Parametrisation, bool]:
    """The networks, what they predict, and whether the file or a neighbour of it tells that."""
    path, formats = Path(checkpoint.path), family.formats(placement)
    if path.is_dir():
        return read_folder(path, formats), folder_parametrisation(path), True
    tensors = read_tensors(path, partial(_format, family, formats))
    return family.split(tensors), file_parametrisation(path, tensors), is_told(path, tensors)


def _format(family: type[Model], formats: Mapping[str, Format], name: str) -> Format | None:
    """How a tensor of a single file is kept; None for what no network of the family needs."""
    if name in MARKS:
        return _AS_STORED
    return next((formats[component] for prefix, component in family.prefixes.items() if name.startswith(prefix)), None)


def read_folder(folder: Path, formats: Mapping[str, Format]) -> Components:
    """The networks of a diffusers folder that have a format. Raises CheckpointError naming a missing one."""
    missing = [name for name in formats if not (folder / name).is_dir()]
    if missing:
        raise CheckpointError(f"the folder has no {min(missing)}")
    return {name: read_component(folder / name, wanted) for name, wanted in formats.items()}


def read_component(folder: Path, wanted: Format) -> Component:
    """The network whose weights and config.json lie in a folder. Raises CheckpointError."""
    files = next((found for stem in _WEIGHTS if (found := _variant(folder, stem))), [])
    if not files:
        raise CheckpointError(f"the folder has no weights for {folder.name}")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_tensors(file, lambda name: wanted)
    return Component(read_config(folder / "config.json"), tensors)


def _variant(folder: Path, stem: str) -> list[Path]:
    """The files of one set of weights: full precision before fp16, safetensors before pickles, all shards of it."""
    for middle in ("", ".fp16"):
        for ending in ("safetensors", "bin"):
            whole = folder / f"{stem}{middle}.{ending}"
            if whole.is_file():
                return [whole]
            if shards := sorted(folder.glob(f"{stem}{middle}-?????-of-?????.{ending}")):
                return shards
    return []
