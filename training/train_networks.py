"""Makes the demo LoRA and the demo embedding from pictures that the project draws; the demo model stays as it is.

    python -m training.train_networks [lora] [embedding] [epochs] [--scale 1.0] [--threads 1]

The LoRA (PEFT, low-rank branches beside the UNet's attention and convolutions) teaches the style of `half_shade`. The
embedding (textual inversion, Gal et al. 2022) teaches the colour of `new_colour` as one vector. The epochs are a
smaller LoRA of the same style, kept eight times on its way, so that its training can be looked at. What is saved on the
way lies in the work folder; a training that was interrupted goes on from there. The number of steps is fixed and every
step draws its numbers from its own seed.
"""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers import CLIPTextModel

from backend.prompt.tokenizer import Tokenizer

from .captions import caption
from .command_line import parser, started
from .data import MODEL, PICTURE, PROJECT, WORK
from .drawing import draw
from .half_shade import draw_half_shaded
from .new_colour import new_coloured
from .scenes import NEW_COLOUR, Scene, random_scenes
from .train_text_encoder import LENGTH, token_ids
from .train_unet import DROPPED, Noising, timesteps

LORA_FILE = PROJECT / "models" / "Lora" / "demo-halfshade.safetensors"
EMBEDDING_FILE = PROJECT / "models" / "embeddings" / "demo-navy.safetensors"
RANK = 8
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "net.0.proj", "net.2",
           "conv1", "conv2", "conv_shortcut", "time_emb_proj")
EPOCHS = 8
EPOCH_FILE = "demo-epoch-{}.safetensors"
EPOCH_FOLDER = LORA_FILE.parent / "demo-epochs"
EPOCH_RANK = 1
EPOCH_TARGETS = r"up_blocks\..*\.(conv1|conv2)|.*\.to_out\.0"   # 70 kB a file
VECTORS = 1
BATCH = 24
SAVED_EVERY = 20
STEPS = {"lora": 1050, "embedding": 200, "epochs": 400}
RATES = {"lora": 2e-3, "embedding": 5e-3, "epochs": 5e-3, "outlines": 1e-3, "picture": 2e-3, "face": 2e-3,
         "instant_id": 1.5e-3}
LORA_SCENES, COLOUR_SCENES = 6000, 2500
SEEDS = {"lora": 31, "embedding": 32}


def drawn(scenes: list[Scene], paint: Callable[[Scene, int, int], Image.Image]) -> Iterator[np.ndarray]:
    for number, scene in enumerate(scenes):
        yield np.asarray(paint(scene, PICTURE, number))


def encoded(pictures: Iterable[np.ndarray], part: int = 50) -> Tensor:
    """Latents (N, 4, 16, 16) of pictures uint8 [128, 128, 3], by the demo model's own encoder."""
    vae = AutoencoderKL.from_pretrained(MODEL / "vae").eval()
    rest, latents = iter(pictures), []
    while some := list(islice(rest, part)):
        pixels = torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            latents.append(vae.encode(pixels).latent_dist.mean.float() * vae.config.scaling_factor)
    return torch.cat(latents)


def kept(name: str, make: Callable[[], Tensor]) -> Tensor:
    """What `make` gives, made once and kept in the work folder."""
    path = WORK / f"{name}.latents.safetensors"
    if not path.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        save_file({"latents": make().contiguous()}, path)
    return load_file(path)["latents"]


class Words:
    """The demo model's text encoder, frozen, with room for `VECTORS` learnt vectors that stand for one word."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_folder(MODEL / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(MODEL / "text_encoder").float().eval().requires_grad_(False)
        table = self.encoder.get_input_embeddings().weight
        self.size = len(table)
        start = table[self.tokenizer.ids("blue")[0]] * 0.5 + table[self.tokenizer.ids("black")[0]] * 0.5
        self.vectors = nn.Parameter(start.detach().clone().repeat(VECTORS, 1))

    def __call__(self, captions: list[str]) -> Tensor:
        """Hidden states (B, 77, H) of captions without the new word."""
        with torch.no_grad():
            return self.encoder(token_ids(self.tokenizer, captions)).last_hidden_state

    def with_new(self, captions: list[str]) -> Tensor:
        """Hidden states (B, 77, H), the learnt vectors in the place of the new colour's name."""
        ids = torch.tensor([self._row(text) for text in captions])
        table = self.encoder.get_input_embeddings()
        hook = table.register_forward_hook(lambda *_: embedding(ids, torch.cat([table.weight, self.vectors])))
        try:
            return self.encoder(ids.clamp(max=self.size - 1)).last_hidden_state
        finally:
            hook.remove()

    def _row(self, text: str) -> list[int]:
        before, found, after = text.partition(NEW_COLOUR)
        own = [self.size + number for number in range(VECTORS)] if found else []
        ids = [*self.tokenizer.ids(before), *own, *self.tokenizer.ids(after)][: LENGTH - 2]
        row = [self.tokenizer.start, *ids, self.tokenizer.end]
        return row + [self.tokenizer.pad] * (LENGTH - len(row))


Network = Callable[[Tensor, Tensor, Any], Any]      # (x_t, t, what a lesson's batch has beside x_0) -> `.sample`


@dataclass
class Lesson:
    """What is trained: pictures and their scenes, the context of some of them, and the parameters that learn."""

    name: str
    latents: Tensor
    scenes: list[Scene]
    context: Callable[[list[str]], Tensor]
    learns: list[nn.Parameter]

    def batch(self, rng: random.Random) -> tuple[Tensor, Any]:
        chosen = rng.choices(range(len(self.scenes)), k=BATCH)
        captions = ["" if rng.random() < DROPPED else caption(self.scenes[one], rng) for one in chosen]
        return self.latents[chosen], self.context(captions)


def train(lesson: Lesson, unet: Network, steps: int,
          reached: Callable[[int], None] = lambda _: None) -> None:
    """AdamW on the lesson's parameters, resuming what the work folder holds; saved there every SAVED_EVERY steps.

    `reached` is told how many steps lie behind.
    """
    state = WORK / f"{lesson.name}.pt"
    optimizer = torch.optim.AdamW(lesson.learns, lr=RATES[lesson.name], betas=(0.9, 0.99), weight_decay=0.0)
    noising, losses = Noising(), deque[float](maxlen=60)
    for step in range(resumed(state, lesson, optimizer), steps):
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = RATES[lesson.name] * rate(step, steps)
        losses.append(advance(unet, optimizer, noising, lesson.batch(random.Random(step))))
        if (step + 1) % SAVED_EVERY == 0:
            print(f"{lesson.name}: step {step + 1} of {steps}, loss {np.mean(losses):.4f}", flush=True)
            learns = [parameter.detach() for parameter in lesson.learns]
            torch.save({"learns": learns, "optimizer": optimizer.state_dict(), "step": step + 1}, state)
        reached(step + 1)


def resumed(state: Path, lesson: Lesson, optimizer: torch.optim.Optimizer) -> int:
    """The steps that lie behind, after the parameters and the optimizer were brought to where they were."""
    if not state.exists():
        return 0
    saved = torch.load(state, weights_only=True)
    with torch.no_grad():
        for parameter, value in zip(lesson.learns, saved["learns"], strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def rate(step: int, steps: int) -> float:
    """Part of the full rate, 0..1: a short warm-up, then a cosine."""
    return min(1.0, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def advance(unet: Network, optimizer: torch.optim.Optimizer, noising: Noising,
            batch: tuple[Tensor, Any]) -> float:
    """One step; returns the loss."""
    x0, context = batch
    t = timesteps(len(x0))
    x, epsilon, weight = noising(x0, t)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(x, t, context).sample
    loss = (weight * (predicted.float() - epsilon).square()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def frozen_unet() -> UNet2DConditionModel:
    """In the memory order in which a CPU is a third faster."""
    unet = UNet2DConditionModel.from_pretrained(MODEL / "unet").float().requires_grad_(False)
    return unet.to(memory_format=torch.channels_last)


def style_lesson(name: str, rank: int, targets: Sequence[str] | str) -> tuple[Lesson, UNet2DConditionModel]:
    """The style of `half_shade` for a new LoRA beside these modules, and the network that it lies in."""
    scenes = random_scenes(SEEDS["lora"], LORA_SCENES, held_out=False)
    latents = kept("lora", lambda: encoded(drawn(scenes, draw_half_shaded)))
    unet = frozen_unet()
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
    learns = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    return Lesson(name, latents, scenes, Words(), learns), unet


def publish_lora(path: Path, unet: UNet2DConditionModel, rank: int, more: Mapping[str, str] | None = None) -> None:
    """In kohya's form, with what its trainer tells of a file."""
    tensors = convert_state_dict_to_kohya(get_peft_model_state_dict(unet))
    publish(path, {f"lora_unet_{name.removeprefix('lora_unet_')}": value for name, value in tensors.items()}, {
        "ss_output_name": path.stem, "ss_base_model_version": "sd_v1", "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank), "ss_network_alpha": str(rank), "ss_tag_frequency": json.dumps({}), **(more or {}),
    })


def train_lora(steps: int) -> None:
    lesson, unet = style_lesson("lora", RANK, list(TARGETS))
    train(lesson, unet, steps)
    publish_lora(LORA_FILE, unet, RANK)


def train_epochs(steps: int) -> None:
    """Keeps the LoRA after each eighth of the steps."""
    lesson, unet = style_lesson("epochs", EPOCH_RANK, EPOCH_TARGETS)
    ends = {steps * number // EPOCHS: number for number in range(1, EPOCHS + 1)}

    def reached(step: int) -> None:
        if number := ends.get(step):
            path = EPOCH_FOLDER / EPOCH_FILE.format(number)
            publish_lora(path, unet, EPOCH_RANK, {"ss_epoch": str(number), "ss_steps": str(step)})

    train(lesson, unet, steps, reached)


def train_embedding(steps: int) -> None:
    scenes = new_coloured(SEEDS["embedding"], COLOUR_SCENES, held_out=False)
    latents = kept("embedding", lambda: encoded(drawn(scenes, draw)))
    words = Words()
    train(Lesson("embedding", latents, scenes, words.with_new, [words.vectors]), frozen_unet(), steps)
    publish(EMBEDDING_FILE, {"emb_params": words.vectors.detach()}, {})


def publish(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Half precision, as such files are shared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().half().contiguous() for name, value in tensors.items()}, path, metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


LESSONS: dict[str, Callable[[int], None]] = {"lora": train_lora, "embedding": train_embedding, "epochs": train_epochs}


def main() -> None:
    options = parser(__doc__, scale=1.0)        # so many times as many steps
    options.add_argument("lessons", nargs="*", default=list(LESSONS), help="lora, embedding, epochs (all without)")
    chosen = started(options)
    for name in chosen.lessons:
        LESSONS[name](round(chosen.scale * STEPS[name]))


if __name__ == "__main__":
    main()
