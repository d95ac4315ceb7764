"""From a path to a model in memory: single files in the original layout, and diffusers folders. Never needs a network.

`.ckpt` files are read by torch's restricted unpickler; one that wants to run code is refused.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from backend.catalog.checkpoints import side_car
from backend.catalog.families import why_not
from backend.catalog.fingerprints import fingerprint
from backend.catalog.headers import read_shapes
from backend.catalog.regular_files import MAX_CONFIG, read_config, read_regular
from backend.errors import CheckpointError
from backend.messages import Checkpoint
from backend.sampling.noise_table import NoiseTable, scaled_linear_betas, zero_terminal_snr
from backend.sampling.parametrisation import PARAMETRISATIONS, Parametrisation
from backend.worker.device import Placement
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.base import Component, Components, Model
from backend.worker.models.sd1 import SD1

FAMILIES: dict[str, type[Model]] = dict.fromkeys(("sd1", "sd1-inpaint", "sd1-edit"), SD1)

_COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2", "transformer")
_WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")
_V_IN_YAML = re.compile(r"^\s*parameterization:\s*[\"']?v[\"']?\s*$", re.MULTILINE)
_CONVERT = "load it once with a tool you trust and save it as .safetensors"

Loaded = TypeVar("Loaded")


def load(checkpoint: Checkpoint, placement: Placement) -> Model:
    """Read a checkpoint and put it onto the placement's device. A hash that is not known is computed beside its use.

    Raises CheckpointError, whose sentence names the checkpoint, when the file is missing, broken, incomplete, unsafe,
    or of a family Easel cannot load.
    """
    family = FAMILIES.get(checkpoint.family)
    loaded = fingerprint(checkpoint.path)
    try:
        if family is None:
            raise CheckpointError(checkpoint.problem or why_not(checkpoint.family))
        components, parametrisation = _read(checkpoint, family)
        model = family.build(checkpoint, components, parametrisation, placement)
    except CheckpointError as error:
        reason = error.problems[0].message
        raise CheckpointError(f"{checkpoint.key} cannot be loaded: {reason}", field="checkpoint") from error
    if not checkpoint.sha256:
        model.background_hash = BackgroundHash(checkpoint.path, loaded)
    return model


def _read(checkpoint: Checkpoint, family: type[Model]) -> tuple[Components, Parametrisation]:
    path = Path(checkpoint.path)
    if not path.exists():
        raise CheckpointError("it is no longer there")
    if path.is_dir():
        return read_folder(path), folder_parametrisation(path)
    tensors = read_file(path)
    return family.split(tensors), file_parametrisation(path, tensors)


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .ckpt file, on the CPU, in the file's number formats. Raises CheckpointError."""
    if path.suffix.lower() == ".safetensors":
        return _reading(path, load_file)
    loaded = _reading(path, _unpickle)
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else {}
    tensors = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError("the file holds no tensors")
    return tensors


def read_table(path: Path) -> Mapping[str, Any]:
    """All that a .safetensors file or a pickle of tensors holds, with tables in tables. Raises CheckpointError."""
    if path.suffix.lower() == ".safetensors":
        return read_file(path)
    loaded = _reading(path, _unpickle)
    return loaded if isinstance(loaded, Mapping) else {}


def read_folder(folder: Path) -> Components:
    """The networks of a diffusers folder. Raises CheckpointError naming a missing one."""
    components = {name: _read_component(folder / name) for name in _COMPONENTS if (folder / name).is_dir()}
    missing = {"unet", "vae", "text_encoder"} - components.keys()
    if missing:
        raise CheckpointError(f"the folder has no {min(missing)}")
    return components


def folder_parametrisation(folder: Path) -> Parametrisation:
    """What the scheduler config of a diffusers folder says; Stable Diffusion's values where it is silent."""
    file = folder / "scheduler" / "scheduler_config.json"
    stored = read_config(file) if file.is_file() else {}
    predicts = "v" if stored.get("prediction_type") == "v_prediction" else "epsilon"
    return PARAMETRISATIONS[predicts](_noise_table(stored))


def file_parametrisation(path: Path, tensors: Mapping[str, Tensor]) -> Parametrisation:
    """What marker tensors (`v_pred`, `ztsnr`), a .yaml or a .json beside the file say about it; epsilon by default."""
    stored = side_car(path)
    marked = "v_pred" in tensors or str(stored.get("prediction", "")).startswith("v") or _yaml_says_v(path)
    zero = "ztsnr" in tensors or bool(stored.get("zero_terminal_snr"))
    return PARAMETRISATIONS["v" if marked else "epsilon"](_noise_table({"rescale_betas_zero_snr": zero}))


def _read_component(folder: Path) -> Component:
    files = next((found for stem in _WEIGHTS if (found := _variant(folder, stem))), [])
    if not files:
        raise CheckpointError(f"the folder has no weights for {folder.name}")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_file(file)
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


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:                        # written by torch before 1.6: cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def _reading(path: Path, read: Callable[[Path], Loaded]) -> Loaded:
    try:
        read_shapes(path)       # refuses what would be waited for, take exponential time, or crash when it is mapped
        return read(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name} holds more than tensors and could run code; {_CONVERT}") from error
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} is broken or cut off; copy it again") from error


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


def _yaml_says_v(path: Path) -> bool:
    """AUTOMATIC1111's way: a training config `<name>.yaml` with `parameterization: v`."""
    try:
        text = read_regular(path.with_suffix(".yaml"), MAX_CONFIG).decode("utf-8", "replace")
        return bool(_V_IN_YAML.search(text))
    except OSError:
        return False
