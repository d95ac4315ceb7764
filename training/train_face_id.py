"""Makes the demo FaceID: a drawn face as a prompt for the demo model, known by the demo's own face networks.

    python -m training.train_face_id [--steps 480] [--threads 1]

As the authors' FaceID (Ye et al. 2023): the identity becomes four vectors for the cross-attentions, and a LoRA beside
all attentions teaches the demo model, which stays as it is, what a face is. It begins where most is known: the four
vectors are taught to be what the text encoder says of the person's colours. Who is drawn is seen in any picture of
that person, so that the pose is not learnt with it. A training that was interrupted goes on from the work folder.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import IPAdapterFaceIDImageProjection
from onnxruntime import InferenceSession
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from .command_line import parser, started
from .data import PROJECT
from .face_networks import IDENTITY, KNOWS
from .face_pictures import EACH, Faces, faces, upright
from .faces import Person, Portrait
from .train_faces import FOLDER
from .train_ip_adapter import TOKENS, Attentions, Shown, begin
from .train_networks import Lesson, Words, frozen_unet, train
from .train_text_encoder import HIDDEN

FILE = PROJECT / "models" / "IP-Adapter" / "demo-faceid.safetensors"
RANK = 24
LORA_LAYERS = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "out"}
BATCH = 16
WORDLESS, UNSEEN = 0.25, 0.08       # shares of captions, and of people, left out
STEPS = 1600


@dataclass
class FaceLesson(Lesson):
    """`identities` (N, 512), of length 1, are who is known in each picture."""

    portraits: list[Portrait]
    identities: Tensor

    def batch(self, rng: random.Random) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        chosen = rng.sample(range(len(self.portraits)), BATCH)
        captions = ["" if rng.random() < WORDLESS else words(self.portraits[one], rng) for one in chosen]
        others = [one - one % EACH + rng.randrange(EACH) for one in chosen]
        known = torch.tensor([[float(rng.random() >= UNSEEN)] for _ in chosen])
        return self.latents[chosen], (self.context(captions), self.identities[others] * known)


def words(one: Portrait, rng: random.Random) -> str:
    where = f"{one.background} background"
    return rng.choice((f"a face on a {where}", f"a face on a {where}", f"face, {where}", "a face"))


def known(material: Faces) -> Tensor:
    """(N, 512) who the demo's network knows in each picture, as if the faces had been found."""
    session, numbers = InferenceSession(str(FOLDER / KNOWS)), np.random.default_rng(74)
    pairs = zip(material.pixels, material.portraits, strict=True)
    crops = np.stack([upright(pixels, one, numbers) for pixels, one in pairs])
    shown = (crops[start : start + 100].astype(np.float32) / 127.5 - 1 for start in range(0, len(crops), 100))
    found = [session.run(None, {"input.1": part.transpose(0, 3, 1, 2)})[0] for part in shown]
    return normalize(torch.from_numpy(np.concatenate(found)))


def told(people: list[Person], encoder: Words) -> Tensor:
    """(N, TOKENS, H) what the text encoder says of skin, hair and eyes at nouns, and at the first one's end."""
    rows = []
    for colours in ([one.skin for one in people], [one.hair for one in people], [one.eyes for one in people]):
        captions = [f"a {colour} circle" for colour in colours]
        last = torch.tensor([len(encoder.tokenizer.ids(caption)) for caption in captions])
        states = torch.cat([encoder(captions[start : start + 100]) for start in range(0, len(captions), 100)])
        rows.append(states[torch.arange(len(states)), last])
        if len(rows) == 1:
            end = states[torch.arange(len(states)), last + 1]
    return torch.stack([*rows, end], 1)


def with_lora(unet: UNet2DConditionModel) -> list[nn.Parameter]:
    """New low-rank branches beside every attention, which learn."""
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(LORA_LAYERS)))
    return [parameter for name, parameter in unet.named_parameters() if "lora_" in name]


def numbered_lora(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """The branches by the names that FaceID's files have: the number of the attention among all."""
    found = {}
    for number, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for layer, part in LORA_LAYERS.items():
            branch = attention.get_submodule(layer)
            for side, table in (("down", branch.lora_A), ("up", branch.lora_B)):
                found[f"{number}.to_{part}_lora.{side}.weight"] = table["default"].weight
    return found


def publish(projection: IPAdapterFaceIDImageProjection, attentions: dict[str, Tensor]) -> None:
    """In the authors' names, in float16."""
    parts = {"proj.0": projection.ff.net[0].proj, "proj.2": projection.ff.net[2], "norm": projection.norm}
    table = {f"image_proj.{name}.{kind}": tensor for name, part in parts.items()
             for kind, tensor in part.named_parameters()}
    table |= {f"ip_adapter.{name}": tensor for name, tensor in attentions.items()}
    save_file({name: tensor.detach().half().contiguous() for name, tensor in table.items()}, FILE)
    print(f"{FILE}: {FILE.stat().st_size / 1e6:.2f} MB")


def new_projection() -> IPAdapterFaceIDImageProjection:
    return IPAdapterFaceIDImageProjection(IDENTITY, HIDDEN, mult=1, num_tokens=TOKENS)


def lesson(material: Faces, encoder: Words, learns: Any) -> FaceLesson:
    return FaceLesson("face", material.latents, [], encoder, learns, material.portraits, known(material))


def main() -> None:
    options = started(parser(__doc__, steps=STEPS))
    unet, encoder, projection = frozen_unet(), Words(), new_projection()
    attentions = Attentions(unet)
    learns = [*projection.parameters(), *attentions.parameters(), *with_lora(unet)]
    attentions.requires_grad_(True)
    material = lesson(faces(), encoder, learns)
    begin(projection, material.identities, told([one.person for one in material.portraits], encoder), encoder)
    train(material, Shown(unet, projection), options.steps)
    publish(projection, dict(attentions.numbered(unet)) | numbered_lora(unet))


if __name__ == "__main__":
    main()
