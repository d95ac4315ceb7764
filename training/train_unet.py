"""The demo model's UNet: trained on precomputed latents and captions, with captions dropped for guidance."""

from __future__ import annotations

import math
import random
import time
from itertools import accumulate
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from backend.prompt.tokenizer import Tokenizer
from backend.sampling.noise_table import scaled_linear_alphas

from .captions import caption
from .scenes import Scene
from .train_text_encoder import HIDDEN, token_ids

BATCH = 48  # pictures of 128 x 128 pixels, or a quarter as many of 256 x 256: a step takes about as long
LARGE_EVERY = 2  # of so many steps one is with large pictures
DROPPED = 0.1  # share of captions replaced by "": teaches the unconditional answer
NOISE_OFFSET = 0.3  # hides the mean colour, which shows through at SD's last timestep: words must tell it
WEIGHT_CAP = 25.0  # of 1 / alpha_bar: above it only colours are decided, and those are learned first
SHAPING = (250, 900)  # the timesteps at which shapes are decided; they get half of the batch more
HARD = {"flower", "star", "boat", "house", "tree"}  # shapes with the finest outlines, shown more often
EMA = 0.999
PEAK_RATE = 5e-4


def new_unet() -> UNet2DConditionModel:
    """SD1's blocks at a hundredth of its size, for 16 x 16 latents; `attention_head_dim` counts heads in this family.

    No attention at 16 x 16: it would take half of a step's time on a CPU, and words can place things at 8 x 8.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(96, 160, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=HIDDEN,
        norm_num_groups=8,
    )


class Latents:
    """Pictures of one size in latent space: `z` (N, 4, side, side), whitened, and their scenes."""

    def __init__(self, z: Tensor, scenes: list[Scene]) -> None:
        self.z, self.scenes = z, scenes
        self.weights = list(accumulate(importance(scene) for scene in scenes))

    @property
    def batch(self) -> int:
        """How many make a batch: BATCH at 16 x 16, fewer of larger ones."""
        return BATCH * 16**2 // self.z[0, 0].numel()


class Noising:
    """SD's forward process: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) epsilon."""

    def __init__(self) -> None:
        self.alphas = torch.from_numpy(scaled_linear_alphas()).float()

    def __call__(self, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x_t, epsilon, weight): the weight 1 / alpha_bar makes the squared error of epsilon that of v.

        Plain epsilon loss gives the picture's layout and colours almost no gradient at high noise.
        """
        offset = NOISE_OFFSET * torch.randn(len(x0), 4, 1, 1) * (torch.rand(len(x0), 1, 1, 1) < 0.8)
        epsilon = torch.randn_like(x0) + offset
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        return alpha.sqrt() * x0 + (1 - alpha).sqrt() * epsilon, epsilon, (1 / alpha).clamp(max=WEIGHT_CAP)


class Average:
    """Exponential moving average of the weights (Polyak), shorter at the beginning."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(EMA, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            self.shadow[name].lerp_(value, 1 - decay)


def rate(step: int, share: float) -> float:
    """Warm-up, then a cosine over the planned time."""
    return PEAK_RATE * min(1.0, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def timesteps(count: int) -> Tensor:
    """Half uniform in 0..999, half uniform in SHAPING, both stratified over the batch."""
    everywhere = stratified(count - count // 2) * 1000
    shaping = SHAPING[0] + stratified(count // 2) * (SHAPING[1] - SHAPING[0])
    return torch.cat([everywhere, shaping]).long().clamp(max=999)


def stratified(count: int) -> Tensor:
    """One number in each of `count` equal parts of 0..1."""
    return (torch.arange(count) + torch.rand(count)) / count


class Training:
    """The network, its optimizer and its average, with `spent` seconds and `step` steps behind it."""

    def __init__(self) -> None:
        self.unet = new_unet()
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-3)
        self.average = Average(self.unet)
        self.noising = Noising()
        self.spent, self.step = 0.0, 0

    def resume(self, folder: Path) -> None:
        """Goes on from `folder`/state.pt, or starts from the weights of `folder`/ema if only they are there."""
        if not (folder / "state.pt").exists():
            if (folder / "ema").exists():
                self.unet.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "ema").float().state_dict())
            return
        saved = torch.load(folder / "state.pt", weights_only=True)
        self.unet.load_state_dict(saved["unet"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average.shadow, self.average.steps = saved["ema"], saved["step"]
        self.spent, self.step = saved["spent"], saved["step"]

    def save(self, folder: Path) -> None:
        """All of it as `folder`/state.pt, the averaged network as a diffusers folder `folder`/ema."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {"unet": self.unet.state_dict(), "optimizer": self.optimizer.state_dict(), "ema": self.average.shadow}
        torch.save({**state, "spent": self.spent, "step": self.step}, folder / "state.tmp")
        (folder / "state.tmp").replace(folder / "state.pt")
        averaged = new_unet()
        averaged.load_state_dict(self.average.shadow)
        averaged.save_pretrained(folder / "ema")

    def advance(self, x0: Tensor, context: Tensor, learning_rate: float) -> float:
        """One step on latents (B, 4, side, side) and text (B, 77, HIDDEN); returns the loss."""
        started = time.time()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        t = timesteps(len(x0))
        x, epsilon, weight = self.noising(x0, t)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.unet(x, t, context).sample
        loss = (weight * (predicted.float() - epsilon).square()).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.unet)
        self.step, self.spent = self.step + 1, self.spent + time.time() - started
        return loss.item()


def train_unet(
    sizes: tuple[Latents, Latents], text: CLIPTextModel, tokenizer: Tokenizer, folder: Path, minutes: float
) -> None:
    """Trains for `minutes` in all, resuming what `folder` holds; saves there every three minutes and at the end.

    `sizes` are the ordinary pictures and the large ones, which every LARGE_EVERYth step takes.
    """
    rng = random.Random(time.time())
    training = Training()
    training.resume(folder)
    saved_at, losses = time.time(), ([], [])
    while training.spent < 60 * minutes:
        large = training.step % LARGE_EVERY == LARGE_EVERY - 1
        x0, context = batch(sizes[large], text, tokenizer, rng)
        losses[large].append(training.advance(x0, context, rate(training.step, training.spent / (60 * minutes))))
        if training.step % 50 == 0:
            print(f"unet: step {training.step}, {told(losses)}, {training.spent / 60:.1f} min", flush=True)
        if time.time() - saved_at > 180:
            saved_at = time.time()
            training.save(folder)
    training.save(folder)


def told(losses: tuple[list[float], list[float]]) -> str:
    """The mean of the last losses of each size."""
    ordinary, large = (sum(kind[-50:]) / max(1, len(kind[-50:])) for kind in losses)
    return f"loss {ordinary:.4f}, large {large:.4f}"


def importance(scene: Scene) -> float:
    """How often a scene is shown, against an empty one: pairs and hard shapes are what is learned last."""
    return 1.0 + len(scene.things) + 0.5 * sum(thing.shape in HARD for thing in scene.things)


def batch(latents: Latents, text: CLIPTextModel, tokenizer: Tokenizer, rng: random.Random) -> tuple[Tensor, Tensor]:
    """x0 (B, 4, side, side) and context (B, 77, HIDDEN), some captions dropped."""
    chosen = rng.choices(range(len(latents.scenes)), cum_weights=latents.weights, k=latents.batch)
    captions = ["" if rng.random() < DROPPED else caption(latents.scenes[i], rng) for i in chosen]
    with torch.no_grad():
        context = text(token_ids(tokenizer, captions)).last_hidden_state
    return latents.z[chosen].float(), context
