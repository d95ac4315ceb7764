"""Makes the demo InstantID: who is drawn as a drawn face shows it, and where, as five points show it.

    python -m training.train_instant_id [--steps 1400] [--threads 1]

As the authors' InstantID (Wang et al. 2024): a resampler makes vectors of the raw identity, for the cross-attentions
and for a ControlNet, the IdentityNet, which reads them in place of the words and is shown the points. The demo model
stays as it is. It begins where most is known: the resampler is taught within seconds to say what the demo's FaceID
says, whose keys and values it takes over, and the IdentityNet, a Control-LoRA, begins as the demo's ControlNet of
outlines. A training that was interrupted goes on from the work folder.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.embeddings import IPAdapterFaceIDImageProjection, IPAdapterPlusImageProjection
from onnxruntime import InferenceSession
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import mse_loss, normalize

from backend.worker.faces.key_points import of_points

from .command_line import parser, started
from .control_lora import bind, opened, publish, tensors
from .data import PICTURE, PROJECT
from .face_networks import IDENTITY, KNOWS
from .face_pictures import EACH, upright
from .faces import Portrait, draw_face, key_points, people, posed
from .train_controlnet import FILE as OUTLINES
from .train_face_id import FILE as FACE_ID
from .train_face_id import new_projection, words
from .train_faces import FOLDER as NETWORKS
from .train_ip_adapter import TOKENS, Attentions
from .train_networks import Lesson, Words, encoded, frozen_unet, kept, train
from .train_text_encoder import HIDDEN

FILE = PROJECT / "models" / "IP-Adapter" / "demo-instantid.safetensors"
IDENTITY_NET = PROJECT / "models" / "ControlNet" / "demo-instantid-points.safetensors"
RANK = 48
WIDTH, HEADS = 128, 2               # of the resampler
RESOLUTIONS = (128, 192, 256, 384)  # of the pictures in which points are found: dots are as large in all of them
UNSURE = 0.012                      # standard deviation of found points, as a part of the picture
BATCH = 16
WORDLESS, UNSEEN = 0.25, 0.08       # shares of captions, and of people, left out
SEED = 81
STEPS = 1400
FIRST_STEPS, FIRST_RATE = 200, 2e-3


@dataclass
class Guided:
    """The frozen UNet with the two parts."""

    unet: UNet2DConditionModel
    projection: IPAdapterPlusImageProjection
    identity_net: ControlNetModel

    def __call__(self, x: Tensor, t: Tensor, context: tuple[Tensor, Tensor, Tensor]) -> SimpleNamespace:
        """`context`: words (B, 77, H), raw identities (B, 1, I) and points' pictures (B, 3, 128, 128) in 0..1."""
        said, identities, hints = context
        who = self.projection(identities)
        down, middle = self.identity_net(x, t, who, controlnet_cond=hints, return_dict=False)
        return self.unet(x, t, (said, [who[:, None]]), down_block_additional_residuals=down,
                         mid_block_additional_residual=middle)


@dataclass
class PosedLesson(Lesson):
    """`identities` (N, 512), raw, are who is known in each picture."""

    portraits: list[Portrait]
    identities: Tensor

    def batch(self, rng: random.Random) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        chosen = rng.sample(range(len(self.portraits)), BATCH)
        captions = ["" if rng.random() < WORDLESS else words(self.portraits[one], rng) for one in chosen]
        others = [one - one % EACH + rng.randrange(EACH) for one in chosen]
        known = torch.tensor([[float(rng.random() >= UNSEEN)] for _ in chosen])
        hints = np.stack([hint(self.portraits[one], rng) for one in chosen]).astype(np.float32) / 255
        return self.latents[chosen], (self.context(captions), (self.identities[others] * known)[:, None],
                                      torch.from_numpy(hints).permute(0, 3, 1, 2))


def hint(one: Portrait, rng: random.Random) -> np.ndarray:
    """uint8 [128, 128, 3]: the points as if found in a picture of some size, and as Easel draws them."""
    resolution, numbers = rng.choice(RESOLUTIONS), np.random.default_rng(rng.randrange(2**31))
    points = key_points(one.pose) + numbers.normal(0, UNSURE / 2, (5, 2))
    picture = of_points((points * resolution).tolist(), (resolution, resolution))
    return cv2.resize(picture, (PICTURE, PICTURE), interpolation=cv2.INTER_AREA)


def portraits(held_out: bool, each: int = EACH, seed: int = SEED) -> list[Portrait]:
    rng = random.Random(seed)
    return [posed(person, rng, rng.randrange(2**31)) for person in people(held_out) for _ in range(each)]


def known(pixels: list[np.ndarray], shown: list[Portrait]) -> Tensor:
    """(N, 512) who the demo's network knows in each picture, raw, as if the faces had been found."""
    session, numbers = InferenceSession(str(NETWORKS / KNOWS)), np.random.default_rng(74)
    crops = np.stack([upright(one, each, numbers) for one, each in zip(pixels, shown, strict=True)])
    parts = (crops[start : start + 100].astype(np.float32) / 127.5 - 1 for start in range(0, len(crops), 100))
    found = [session.run(None, {"input.1": part.transpose(0, 3, 1, 2)})[0] for part in parts]
    return torch.from_numpy(np.concatenate(found))


def lesson() -> PosedLesson:
    asked = portraits(held_out=False)
    drawn = [np.asarray(draw_face(one)) for one in asked]
    latents, identities = kept("posed", lambda: encoded(drawn)), kept("posed.known", lambda: known(drawn, asked))
    return PosedLesson("instant_id", latents, [], Words(), [], asked, identities)


def face_id() -> tuple[IPAdapterFaceIDImageProjection, dict[str, Tensor]]:
    """The demo FaceID's projection, and its keys and values by their names in its file."""
    table = {name: tensor.float() for name, tensor in load_file(FACE_ID).items()}
    projection = new_projection()
    names = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "norm": "norm"}
    projection.load_state_dict({f"{part}.{kind}": table[f"image_proj.{name}.{kind}"] for part, name in names.items()
                                for kind in ("weight", "bias")})
    return projection.requires_grad_(False), {
        name.removeprefix("ip_adapter."): tensor for name, tensor in table.items() if "_ip." in name}


def take_over(attentions: Attentions, unet: UNet2DConditionModel, theirs: dict[str, Tensor]) -> None:
    for name, tensor in attentions.numbered(unet):
        tensor.data.copy_(theirs[name])


def new_resampler() -> IPAdapterPlusImageProjection:
    return IPAdapterPlusImageProjection(IDENTITY, HIDDEN, WIDTH, depth=4, dim_head=64, heads=HEADS, num_queries=TOKENS)


def begin(resampler: IPAdapterPlusImageProjection, projection: IPAdapterFaceIDImageProjection, raw: Tensor) -> None:
    """Teaches the resampler to say of raw identities, and of nobody, what FaceID's projection says."""
    raw = torch.cat([raw, torch.zeros(len(raw) // 20, IDENTITY)])
    wanted = projection(normalize(raw))
    resampler.norm_out.load_state_dict(projection.norm.state_dict())
    optimizer = torch.optim.AdamW(resampler.parameters(), FIRST_RATE)
    for step in range(FIRST_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = FIRST_RATE * (1 - step / FIRST_STEPS)
        some = torch.randint(len(raw), (256,))
        loss = mse_loss(resampler(raw[some, None]), wanted[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"the vectors say what FaceID's say, but for {loss:.4f} of {wanted.var():.4f}", flush=True)


def authors_names(resampler: IPAdapterPlusImageProjection) -> dict[str, Tensor]:
    """The resampler's tensors as InstantID's file names them."""
    state, found = resampler.state_dict(), {}
    layers = {"ln0": "0.norm1", "ln1": "0.norm2", "attn.to_q": "0.to_q", "attn.to_out.0": "0.to_out",
              "ff.0": "1.0", "ff.1.net.0.proj": "1.1", "ff.1.net.2": "1.3"}
    for name, tensor in state.items():
        if not name.startswith("layers."):
            found[name] = tensor
            continue
        number, rest = name.removeprefix("layers.").split(".", 1)
        layer, _, kind = rest.rpartition(".")
        if layer in layers:
            found[f"layers.{number}.{layers[layer]}.{kind}"] = tensor
        elif layer == "attn.to_k":
            value = state[f"layers.{number}.attn.to_v.{kind}"]
            found[f"layers.{number}.0.to_kv.{kind}"] = torch.cat([tensor, value])
    return found


def main() -> None:
    options = started(parser(__doc__, steps=STEPS))
    unet, material = frozen_unet(), lesson()
    identity_net = opened(OUTLINES, unet).train().to(memory_format=torch.channels_last)
    attentions, resampler = Attentions(unet), new_resampler()
    projection, theirs = face_id()
    take_over(attentions, unet, theirs)
    begin(resampler, projection, material.identities)
    attentions.requires_grad_(True)
    material.learns = [*resampler.parameters(), *attentions.parameters(), *bind(identity_net, unet, RANK)]
    train(material, Guided(unet, resampler, identity_net), options.steps)
    parts = {f"image_proj.{name}": tensor for name, tensor in authors_names(resampler).items()}
    publish(parts | {f"ip_adapter.{name}": tensor for name, tensor in attentions.numbered(unet)}, FILE)
    publish(tensors(identity_net), IDENTITY_NET)


if __name__ == "__main__":
    main()
