"""What a checkpoint predicts, and its noise levels: told by marks in it, by files beside it, or by its scheduler."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from backend.catalog.checkpoints import side_car
from backend.errors import CheckpointError
from backend.files.regular_files import MAX_CONFIG, read_config, read_regular
from backend.sampling.noise_table import Floats, NoiseTable, scaled_linear_betas, zero_terminal_snr
from backend.sampling.parametrisation import PARAMETRISATIONS, Parametrisation

MARKS = ("v_pred", "ztsnr")
"""Names of tensors that tell how a network was trained, by being there."""

BETAS: Mapping[str, Callable[[float, float, int], Floats]] = MappingProxyType({
    "scaled_linear": scaled_linear_betas, "linear": np.linspace,
})
MOST_TIMESTEPS = 100_000    # of a noise table; those in use have 1,000
PREDICTIONS: Mapping[str, str] = MappingProxyType({"epsilon": "epsilon", "v_prediction": "v"})
"""What diffusers' schedulers call it, and the rows of `PARAMETRISATIONS`."""

_V_IN_YAML = re.compile(
    r"^\s*(?:parameterization:\s*[\"']?v|target:\s*[\"']?(?:\w+\.)*VScaling)[\"']?\s*(?:#.*)?$", re.MULTILINE)


def folder_parametrisation(folder: Path) -> Parametrisation:
    """What the scheduler config of a diffusers folder says; Stable Diffusion's values where it is silent.

    Raises CheckpointError for what would draw something else than the network has learnt.
    """
    file = folder / "scheduler" / "scheduler_config.json"
    stored = read_config(file) if file.is_file() else {}
    said = str(stored.get("prediction_type") or "epsilon")
    if said not in PREDICTIONS:
        raise CheckpointError(f"its scheduler config cannot be used: its network predicts {said[:40]!r}, "
                              f"and Easel knows {' and '.join(PREDICTIONS)}")
    return PARAMETRISATIONS[PREDICTIONS[said]](_noise_table(stored))


def file_parametrisation(path: Path, tensors: Mapping[str, Tensor]) -> Parametrisation:
    """What marker tensors (`v_pred`, `ztsnr`), a .yaml or a .json beside the file say about it; epsilon by default."""
    stored = side_car(path)
    marked = "v_pred" in tensors or str(stored.get("prediction", "")).startswith("v") or yaml_says_v(path)
    zero = "ztsnr" in tensors or bool(stored.get("zero_terminal_snr"))
    return PARAMETRISATIONS["v" if marked else "epsilon"](_noise_table({"rescale_betas_zero_snr": zero}))


def is_told(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a single file has a mark of what it predicts, or a neighbour that speaks of it."""
    return "v_pred" in tensors or "prediction" in side_car(path) or path.with_suffix(".yaml").is_file()


def _noise_table(stored: Mapping[str, Any]) -> NoiseTable:
    try:
        with np.errstate(divide="raise", invalid="raise"):
            return _noise_levels(stored)
    except (TypeError, ValueError, ArithmeticError, IndexError) as error:
        raise CheckpointError(f"its scheduler config cannot be used: {error}") from error


def _noise_levels(stored: Mapping[str, Any]) -> NoiseTable:
    start, end = float(stored.get("beta_start", 0.00085)), float(stored.get("beta_end", 0.012))
    steps = int(stored.get("num_train_timesteps", 1000))
    if steps > MOST_TIMESTEPS:
        raise ValueError(f"it tells of {steps:,} timesteps")
    betas = _betas(stored, start, end, steps)
    if stored.get("rescale_betas_zero_snr"):
        return NoiseTable.from_alphas_cumprod(zero_terminal_snr(np.cumprod(1 - betas)))
    return NoiseTable.from_betas(betas)


def _betas(stored: Mapping[str, Any], start: float, end: float, steps: int) -> Floats:
    trained, schedule = stored.get("trained_betas"), stored.get("beta_schedule") or "scaled_linear"
    if trained is not None:
        if len(trained) > MOST_TIMESTEPS:
            raise ValueError(f"it tells of {len(trained):,} timesteps")
        return np.asarray(list(trained), np.float64)
    if schedule not in BETAS:
        raise ValueError(f"its beta_schedule is {str(schedule)[:40]!r}, and Easel knows {' and '.join(BETAS)}")
    return BETAS[schedule](start, end, steps)


def yaml_says_v(path: Path) -> bool:
    """AUTOMATIC1111's way: a training config `<name>.yaml` with `parameterization: v`, or of XL with `VScaling`."""
    try:
        text = read_regular(path.with_suffix(".yaml"), MAX_CONFIG).decode("utf-8", "replace")
        return bool(_V_IN_YAML.search(text))
    except OSError:
        return False
