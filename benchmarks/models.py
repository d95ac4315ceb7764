"""The two models that are measured: the demo, and Stable Diffusion 1's networks at full size with random weights."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.prompt.tokenizer import Tokenizer
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Epsilon
from backend.settings import HOME
from backend.worker.device import Placement, place
from backend.worker.models import clip_text, sd1
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.preview_colours import preview_factors

FULL = ModelFile(CHECKPOINT, "sd1-random", path="", family="sd1", sha256="0" * 64)


def demo(device: str) -> tuple[Memory, ModelFile]:
    checkpoint = ModelCatalog((HOME / "models",)).find("checkpoint", "demo")
    return Memory(place(device)), checkpoint


def full_size(device: str) -> tuple[Memory, ModelFile]:
    """A memory that hands out the random networks instead of reading a file."""
    return Memory(place(device), load=_random_networks), FULL


def _random_networks(checkpoint: ModelFile, placement: Placement) -> Model:
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(sd1.UNET)
    unet.to(placement.device, placement.unet, memory_format=torch.channels_last)
    autoencoder = AutoencoderKL.from_config(sd1.VAE).to(placement.device, placement.vae)
    text = CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L, bos_token_id=49406, eos_token_id=49407))
    text.to(placement.device, placement.text)
    for network in (unet, autoencoder, text):
        network.eval().requires_grad_(False)
    return sd1.SD1(
        checkpoint=checkpoint, placement=placement, denoiser=unet, vae=autoencoder, text_encoders=(text,),
        tokenizer=Tokenizer.clip(), parametrisation=Epsilon(NoiseTable.from_betas()),
        preview_factors=preview_factors(autoencoder, sd1.COLOURS),
    )
