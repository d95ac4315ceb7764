"""Makes the demo IP-Adapter: a picture as a prompt for the demo model, seen through the demo CLIP's picture tower.

    python -m training.train_ip_adapter [--steps 150] [--threads 1]

Plain, as Ye et al. 2023 have it: the tower's embedding becomes four vectors, and every cross-attention has keys and
values of its own for them. It begins where most is known: keys and values are those for words, and the four vectors
are taught within seconds to be what the text encoder says of a caption of the picture. Then the demo model, which stays
as it is, tells what to change. A training that was interrupted goes on from the work folder.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from .captions import sentence
from .command_line import parser, started
from .data import PROJECT, WORK
from .drawing import draw
from .publish_clip import CLIP
from .scenes import Scene, random_scenes
from .train_networks import Lesson, Words, drawn, encoded, frozen_unet, kept, train
from .train_text_encoder import HIDDEN

FILE = PROJECT / "models" / "IP-Adapter" / "demo-picture.safetensors"
EMBEDDINGS = "picture.embeddings.npy"       # in the work folder
TOKENS = 4
SCENES, SEED = 2500, 61
BATCH = 16
WORDLESS, UNSEEN = 0.75, 0.08               # shares of captions, and of pictures, left out
STEPS = 150
FIRST_STEPS, FIRST_RATE = 400, 1e-2


class Tower:
    """The demo CLIP's picture tower, frozen."""

    def __init__(self) -> None:
        self.network = CLIPVisionModelWithProjection.from_pretrained(CLIP).float().eval().requires_grad_(False)
        self.processor = CLIPImageProcessor.from_pretrained(CLIP)

    def __call__(self, pictures: list[np.ndarray]) -> Tensor:
        """Embeddings (N, P) of pictures uint8 [128, 128, 3]."""
        given = self.processor(images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt")
        return self.network(given["pixel_values"]).image_embeds


class Attentions(nn.ModuleList):
    """The processors of a UNet's cross-attentions, in the order of its names; they begin as those for words."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        processors, beside = dict(unet.attn_processors), []
        for name in [name for name in processors if name.endswith("attn2.processor")]:
            attention = unet.get_submodule(name.removesuffix(".processor"))
            made = IPAdapterAttnProcessor2_0(attention.to_q.out_features, HIDDEN, (TOKENS,), [1.0])
            made.to_k_ip[0].weight.data.copy_(attention.to_k.weight)
            made.to_v_ip[0].weight.data.copy_(attention.to_v.weight)
            processors[name] = made
            beside.append(made)
        unet.set_attn_processor(processors)
        super().__init__(beside)

    def numbered(self, unet: UNet2DConditionModel) -> Iterator[tuple[str, Tensor]]:
        """The tensors by the names that IP-Adapters' files have: the number of the processor among all."""
        for number, processor in enumerate(unet.attn_processors.values()):
            if isinstance(processor, IPAdapterAttnProcessor2_0):
                yield f"{number}.to_k_ip.weight", processor.to_k_ip[0].weight
                yield f"{number}.to_v_ip.weight", processor.to_v_ip[0].weight


@dataclass
class Shown:
    """The frozen UNet, looking at a picture beside the words."""

    unet: UNet2DConditionModel
    projection: ImageProjection

    def __call__(self, x: Tensor, t: Tensor, context: tuple[Tensor, Tensor]) -> Any:
        """`context`: words (B, 77, H) and embeddings (B, P)."""
        words, embeddings = context
        return self.unet(x, t, (words, [self.projection(embeddings)[:, None]]))


@dataclass
class PictureLesson(Lesson):
    """`embeddings` (N, P) are what the tower sees in each picture."""

    embeddings: Tensor

    def batch(self, rng: random.Random) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        chosen = rng.sample(range(len(self.scenes)), BATCH)
        captions = ["" if rng.random() < WORDLESS else sentence(self.scenes[one], rng) for one in chosen]
        shown = torch.tensor([[float(rng.random() >= UNSEEN)] for _ in chosen])
        return self.latents[chosen], (self.context(captions), self.embeddings[chosen] * shown)


def seen(pictures: Iterator[np.ndarray], found: list[Tensor]) -> Iterator[np.ndarray]:
    """The pictures as they come; `found` receives what the tower sees in each."""
    tower = Tower()
    for picture in pictures:
        found.append(tower([picture])[0])
        yield picture


def lesson(count: int) -> PictureLesson:
    scenes, path = random_scenes(SEED, count, held_out=False), WORK / EMBEDDINGS

    def made() -> Tensor:
        found: list[Tensor] = []
        latents = encoded(seen(drawn(scenes, draw), found))
        np.save(path, torch.stack(found).numpy())
        return latents

    latents = kept("picture", made)
    return PictureLesson("picture", latents, scenes, Words(), [], torch.from_numpy(np.load(path)))


def told(scenes: list[Scene], words: Words) -> Tensor:
    """(N, TOKENS, H) what the text encoder says of each scene: at its one or two nouns, at the end, and behind it."""
    captions = [sentence(scene, random.Random(number)) for number, scene in enumerate(scenes)]
    rows = []
    for scene, caption in zip(scenes, captions, strict=True):
        ids = words.tokenizer.ids(caption)
        end = 1 + len(ids)
        nouns = [1 + ids.index(words.tokenizer.ids(thing.shape)[-1]) for thing in scene.things] or [end]
        rows.append([nouns[0], nouns[-1], end, end + 1])
    states = torch.cat([words(captions[start : start + 100]) for start in range(0, len(captions), 100)])
    return states[torch.arange(len(states))[:, None], torch.tensor(rows)]


def begin(projection: nn.Module, given: Tensor, wanted: Tensor, words: Words) -> None:
    """Teaches a projection, whose `norm` comes last, to say of `given` what words say: `wanted` (N, T, H)."""
    projection.norm.load_state_dict(words.encoder.final_layer_norm.state_dict())
    optimizer = torch.optim.AdamW(projection.parameters(), FIRST_RATE)
    for step in range(FIRST_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = FIRST_RATE * (1 - step / FIRST_STEPS)
        loss = mse_loss(projection(given), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"the vectors say what words say, but for {loss:.4f} of {wanted.var():.4f}", flush=True)


def publish_adapter(projection: ImageProjection, tensors: dict[str, Tensor]) -> None:
    """In the authors' names, in float16."""
    parts = {"proj": projection.image_embeds, "norm": projection.norm}
    table = {f"image_proj.{name}.{kind}": tensor for name, part in parts.items()
             for kind, tensor in part.named_parameters()}
    table |= {f"ip_adapter.{name}": tensor for name, tensor in tensors.items()}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().half().contiguous() for name, tensor in table.items()}, FILE)
    print(f"{FILE}: {FILE.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    options = started(parser(__doc__, steps=STEPS, scenes=SCENES))
    unet, material = frozen_unet(), lesson(options.scenes)
    attentions, projection = Attentions(unet), ImageProjection(material.embeddings.shape[1], HIDDEN, TOKENS)
    projection.image_embeds.weight.data.mul_(0.3)
    begin(projection, material.embeddings, told(material.scenes, material.context), material.context)
    material.learns = [*projection.parameters(), *attentions.parameters()]
    train(material, Shown(unet, projection), options.steps)
    publish_adapter(projection, dict(attentions.numbered(unet)))


if __name__ == "__main__":
    main()
