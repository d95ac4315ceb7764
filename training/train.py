"""Makes the demo model from nothing: every stage in turn, each skipped when its result is already in the work folder.

    python -m training.train [--stages tokenizer,text_encoder,...] [--scale 1.0] [--threads 2]

Stages: tokenizer, text_encoder, pictures, unet, decoder, encoder, publish. An interrupted UNet goes on where it was
saved last. `--scale` stretches every stage's time; at 1 the whole takes about three and a half hours on two CPU cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPTextModel

from backend.prompt.tokenizer import Tokenizer

from .data import MODEL, WORK, large_pictures, large_scenes, training_pictures, training_scenes
from .latent_space import LatentSpace, encode_all
from .publish import publish, size
from .tokenizer import write_tokenizer
from .train_autoencoder import Examples, join_halves, train_half
from .train_text_encoder import train_text_encoder
from .train_unet import Latents, train_unet

TOKENIZER = WORK / "tokenizer"
TEXT_ENCODER = WORK / "text_encoder"
LATENTS = WORK / "latents.npy"
LARGE_LATENTS = WORK / "large_latents.npy"
UNET = WORK / "unet"
ENCODER, DECODER = WORK / "encoder.pt", WORK / "decoder.pt"
AUTOENCODER = WORK / "autoencoder"

MINUTES = {"text_encoder": 6, "unet": 180, "decoder": 16, "encoder": 5}
AUTOENCODER_PICTURES = 8000


def stage_tokenizer(_: float) -> None:
    write_tokenizer(TOKENIZER)


def stage_text_encoder(minutes: float) -> None:
    train_text_encoder(Tokenizer.from_folder(TOKENIZER), TEXT_ENCODER, minutes)


def stage_pictures(_: float) -> None:
    """Latents of both sizes, in the latent space of the first 4000 ordinary pictures."""
    ordinary = training_pictures()
    space = LatentSpace.of(ordinary[:4000])
    np.save(LATENTS, encode_all(ordinary, space))
    np.save(LARGE_LATENTS, encode_all(large_pictures(), space))


def stage_unet(minutes: float) -> None:
    latents = Latents(torch.from_numpy(np.load(LATENTS)), training_scenes())
    large = Latents(torch.from_numpy(np.load(LARGE_LATENTS)), large_scenes())
    text = CLIPTextModel.from_pretrained(TEXT_ENCODER).float().eval().requires_grad_(False)
    train_unet((latents, large), text, Tokenizer.from_folder(TOKENIZER), UNET, minutes)


def examples() -> Examples:
    return Examples(training_pictures()[:AUTOENCODER_PICTURES], np.load(LATENTS)[:AUTOENCODER_PICTURES])


def stage_decoder(minutes: float) -> None:
    train_half("decoder", examples(), minutes, DECODER)


def stage_encoder(minutes: float) -> None:
    train_half("encoder", examples(), minutes, ENCODER)


def stage_publish(_: float) -> None:
    join_halves(ENCODER, DECODER, AUTOENCODER)
    publish(AUTOENCODER, TEXT_ENCODER, TOKENIZER, UNET / "ema", MODEL)
    print(f"{MODEL}: {size(MODEL) / 1e6:.1f} MB")


STAGES: dict[str, Callable[[float], None]] = {
    "tokenizer": stage_tokenizer,
    "text_encoder": stage_text_encoder,
    "pictures": stage_pictures,
    "unet": stage_unet,
    "decoder": stage_decoder,
    "encoder": stage_encoder,
    "publish": stage_publish,
}


def done(name: str) -> Path:
    """The mark that a stage has finished."""
    return WORK / f"{name}.done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default=",".join(STAGES), help="run only these, even if they are done")
    parser.add_argument("--scale", type=float, default=1.0, help="stretch every stage's time by this factor")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    WORK.mkdir(parents=True, exist_ok=True)
    everything = options.stages == parser.get_default("stages")
    for name in options.stages.split(","):
        if everything and name != "publish" and done(name).exists():
            print(f"{name}: already done")
            continue
        print(f"{name}: starts", flush=True)
        STAGES[name](options.scale * MINUTES.get(name, 0))
        done(name).touch()


if __name__ == "__main__":
    main()
