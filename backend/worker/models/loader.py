"""From a path to a model in memory: single files in the original layout, and diffusers folders. Always offline."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.catalog.checkpoints import side_car
from backend.catalog.families import FAMILIES, cell, why_not
from backend.catalog.fingerprints import fingerprint
from backend.catalog.model_file import ModelFile
from backend.catalog.regular_files import MAX_CONFIG, read_config, read_regular
from backend.errors import CheckpointError
from backend.sampling.noise_table import NoiseTable, scaled_linear_betas, zero_terminal_snr
from backend.sampling.parametrisation import PARAMETRISATIONS, Parametrisation
from backend.worker.device import Placement
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.base import Component, Components, Model
from backend.worker.models.compiled_regions import compiled_regions
from backend.worker.models.tensor_files import Format, read_tensors

MARKS = ("v_pred", "ztsnr")
"""Names of tensors that tell how a network was trained, by being there."""

_WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
_V_IN_YAML = re.compile(
    r"^\s*(?:parameterization:\s*[\"']?v|target:\s*[\"']?(?:\w+\.)*VScaling)[\"']?\s*(?:#.*)?$", re.MULTILINE)
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
    try:
        if problem := checkpoint.problem or why_not(checkpoint.family):
            raise CheckpointError(problem)
        family = loader_of(checkpoint.family)
        components, parametrisation, is_told = _read(checkpoint, family, placement)
        model = family.build(checkpoint, components, parametrisation, placement)
        model.parametrisation = parametrisation if is_told else model.tried_parametrisation()
        model.compiled = compiled_regions(model.denoiser)
        _check_cells(model)
    except CheckpointError as error:
        reason = error.problems[0].message
        raise CheckpointError(f"{checkpoint.key} cannot be loaded: {reason}", field="checkpoint") from error
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
    if not path.exists():
        raise CheckpointError("it is no longer there")
    if path.is_dir():
        return read_folder(path, formats), folder_parametrisation(path), True
    tensors = read_tensors(path, partial(_format, family, formats))
    return family.split(tensors), file_parametrisation(path, tensors), _is_told(path, tensors)


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


def folder_parametrisation(folder: Path) -> Parametrisation:
    """What the scheduler config of a diffusers folder says; Stable Diffusion's values where it is silent."""
    file = folder / "scheduler" / "scheduler_config.json"
    stored = read_config(file) if file.is_file() else {}
    predicts = "v" if stored.get("prediction_type") == "v_prediction" else "epsilon"
    return PARAMETRISATIONS[predicts](_noise_table(stored))


def file_parametrisation(path: Path, tensors: Mapping[str, Tensor]) -> Parametrisation:
    """What marker tensors (`v_pred`, `ztsnr`), a .yaml or a .json beside the file say about it; epsilon by default."""
    stored = side_car(path)
    marked = "v_pred" in tensors or str(stored.get("prediction", "")).startswith("v") or yaml_says_v(path)
    zero = "ztsnr" in tensors or bool(stored.get("zero_terminal_snr"))
    return PARAMETRISATIONS["v" if marked else "epsilon"](_noise_table({"rescale_betas_zero_snr": zero}))


def _is_told(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a single file has a mark of what it predicts, or a neighbour that speaks of it."""
    return "v_pred" in tensors or "prediction" in side_car(path) or path.with_suffix(".yaml").is_file()


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


def _noise_table(stored: Mapping[str, Any]) -> NoiseTable:
    try:
        with np.errstate(divide="raise", invalid="raise"):
            return _noise_levels(stored)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"its scheduler config cannot be used: {error}") from error


def _noise_levels(stored: Mapping[str, Any]) -> NoiseTable:
    start, end = float(stored.get("beta_start", 0.00085)), float(stored.get("beta_end", 0.012))
    steps = int(stored.get("num_train_timesteps", 1000))
    linear = stored.get("beta_schedule", "scaled_linear") == "linear"
    betas = np.linspace(start, end, steps) if linear else scaled_linear_betas(start, end, steps)
    if stored.get("rescale_betas_zero_snr"):
        return NoiseTable.from_alphas_cumprod(zero_terminal_snr(np.cumprod(1 - betas)))
    return NoiseTable.from_betas(betas)


def yaml_says_v(path: Path) -> bool:
    """AUTOMATIC1111's way: a training config `<name>.yaml` with `parameterization: v`, or of XL with `VScaling`."""
    try:
        text = read_regular(path.with_suffix(".yaml"), MAX_CONFIG).decode("utf-8", "replace")
        return bool(_V_IN_YAML.search(text))
    except OSError:
        return False
