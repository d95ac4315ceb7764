"""AUTOMATIC1111's lists of what can be drawn with: model files, samplers, schedules, upscalers, styles.

Where files lie is the server's business: every `filename` and `path` is a bare name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter

from backend.catalog.families import base
from backend.catalog.model_file import CHECKPOINT, EMBEDDING, LORA, UPSCALER, VAE, ModelFile
from backend.catalog.network_problems import embedding_name
from backend.catalog.upscalers import ALIASES
from backend.http.a1111 import responses
from backend.http.dependencies import EntireBackend, FrontDoor
from backend.request.choices import LATENT_UPSCALERS, NO_UPSCALER, PIXEL_UPSCALERS
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

REALESRGAN = ("R-ESRGAN General 4xV3", "R-ESRGAN General WDN 4xV3", "R-ESRGAN AnimeVideo", "R-ESRGAN 4x+",
              "R-ESRGAN 4x+ Anime6B", "R-ESRGAN 2x+")
MODULES = (VAE, "text_encoder")       # what a checkpoint may be given from elsewhere, in Forge
WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048}

router = APIRouter(prefix="/sdapi/v1")


@router.get("/sd-models")
def models(backend: EntireBackend) -> list[dict[str, Any]]:
    """The checkpoints that a request may name."""
    return [responses.model(checkpoint) for checkpoint in backend.checkpoints()]


@router.get("/sd-vae")
def vaes(backend: EntireBackend) -> list[dict[str, Any]]:
    """The VAEs that lie in the folders, by names that `sd_vae` takes."""
    return [_part(file) for file in backend.model_files(VAE)]


@router.get("/sd-modules")
def modules(backend: EntireBackend) -> list[dict[str, Any]]:
    """Forge's list of VAEs and text encoders."""
    return [_part(file) for kind in MODULES for file in backend.model_files(kind)]


@router.get("/hypernetworks")
def hypernetworks(backend: EntireBackend) -> list[dict[str, Any]]:
    """The hypernetworks that lie in the folders."""
    return [{"name": file.key, "path": _name(file)} for file in backend.model_files("hypernetwork")]


@router.get("/loras")
def loras(backend: EntireBackend) -> list[dict[str, Any]]:
    """The LoRAs that lie in the folders, with what their trainers wrote into them as far as Easel reads it."""
    return [_lora(file) for file in backend.model_files(LORA)]


@router.get("/embeddings")
def embeddings(backend: EntireBackend) -> dict[str, Any]:
    """The embeddings that the default checkpoint can use, and those that it cannot."""
    usable, family = backend.can_use(EMBEDDING), _default_family(backend)
    rows: dict[str, dict[str, Any]] = {"loaded": {}, "skipped": {}}
    for file in backend.model_files(EMBEDDING):
        fits = usable and not file.problem and base(file.family) in ("", base(family))
        rows["loaded" if fits else "skipped"][embedding_name(file)] = _embedding(file)
    return rows


@router.get("/realesrgan-models")
def realesrgan_models(backend: EntireBackend) -> list[dict[str, Any]]:
    """Those of AUTOMATIC1111's Real-ESRGAN models whose file is here."""
    there = {file.key: file for file in backend.upscalers()}
    named = {name: there.get(ALIASES[name.casefold()]) for name in REALESRGAN if name.casefold() in ALIASES}
    return [{"name": name, "path": _name(file), "scale": file.facts.get("scale") or 4}
            for name, file in named.items() if file]


@router.get("/upscalers")
def upscalers(backend: EntireBackend) -> list[dict[str, Any]]:
    """What enlarges pixels: none, two that need no file, then the files."""
    files = [responses.upscaler(file.key, file.facts["scale"]) for file in backend.upscalers()]
    return [*(responses.upscaler(name) for name in (NO_UPSCALER, *PIXEL_UPSCALERS)), *files]


@router.get("/latent-upscale-modes")
def latent_upscale_modes() -> list[dict[str, str]]:
    """What enlarges a latent."""
    return [{"name": name} for name in LATENT_UPSCALERS]


@router.get("/face-restorers")
def face_restorers(backend: EntireBackend) -> list[dict[str, Any]]:
    """What makes faces clean, as far as its file is here."""
    return [{"name": name, "cmd_dir": None} for name in backend.face_restorers()]


@router.get("/samplers")
def samplers() -> list[dict[str, Any]]:
    """Every sampling method with its older names."""
    return [responses.sampler(row, SCHEDULES) for row in SAMPLERS.values()]


@router.get("/schedulers")
def schedulers() -> list[dict[str, Any]]:
    """Every noise schedule."""
    return [responses.scheduler(row) for row in SCHEDULES.values()]


@router.get("/prompt-styles")
def prompt_styles(door: FrontDoor) -> list[dict[str, str]]:
    """The styles that a request of this caller may name."""
    return door.prompt_library.as_theirs()


@router.post("/refresh-checkpoints")
def refresh_checkpoints(backend: EntireBackend) -> None:
    """Looks through the folders of checkpoints again."""
    backend.model_files(CHECKPOINT, refresh=True)


@router.post("/refresh-vae")
def refresh_vae(backend: EntireBackend) -> None:
    """Looks through the folders of VAEs again."""
    backend.model_files(VAE, refresh=True)


@router.post("/refresh-loras")
def refresh_loras(backend: EntireBackend) -> None:
    """Looks through the folders of LoRAs again."""
    backend.model_files(LORA, refresh=True)


@router.post("/refresh-embeddings")
def refresh_embeddings(backend: EntireBackend) -> None:
    """Looks through the folders of embeddings again."""
    backend.model_files(EMBEDDING, refresh=True)


@router.post("/refresh-upscalers")
def refresh_upscalers(backend: EntireBackend) -> None:
    """Looks through the folders of upscalers again."""
    backend.model_files(UPSCALER, refresh=True)


def _part(file: ModelFile) -> dict[str, Any]:
    return {"model_name": _name(file), "filename": _name(file)}


def _lora(file: ModelFile) -> dict[str, Any]:
    metadata: Mapping[str, str] = {"sshs_model_hash": file.facts.get("model_hash", ""),
                                   "ss_output_name": file.facts.get("alias", "")}
    told = {name: value for name, value in metadata.items() if value}
    return {"name": file.key, "alias": file.facts.get("alias") or file.key, "path": _name(file), "metadata": told}


def _embedding(file: ModelFile) -> dict[str, Any]:
    shape = WIDTHS.get(file.family) or file.facts.get("width", 0)
    return {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": shape,
            "vectors": file.facts.get("vectors", 0)}


def _default_family(backend: EntireBackend) -> str:
    usable = [file for file in backend.checkpoints() if not file.problem]
    return usable[0].family if usable else ""


def _name(file: ModelFile) -> str:
    return PurePath(file.path).name
