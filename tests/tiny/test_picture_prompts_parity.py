"""Whole pictures under IP-Adapters against diffusers' own pipelines with the same networks, from nothing and from a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.catalog.model_catalog import ModelCatalog
from backend.request.request import Request
from backend.worker.adapters import ip_adapter
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.ip_adapter_projection import PicturePrompt, Shown
from backend.worker.draw.init_image import Source
from backend.worker.draw.pipeline import draw
from backend.worker.draw.plan import plan
from backend.worker.draw.work_items import EncodeText, LoadGuide, Shared, ShowPicture
from backend.worker.engine.program_building import canvas_of
from backend.worker.guidance.lazy_latents import Calculate, calculate
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Answer, Row
from backend.worker.models.codec import Codec, DecodeLatent, EncodePicture
from backend.worker.models.memory import Memory
from tests.tiny import ip_adapters, test_img2img_parity, test_sdxl_parity
from tests.tiny.ldm import tiny, tiny_sdxl
from tests.tiny.test_face_prompts import seen
from tests.tiny.test_networks_parity import opened
from tests.tiny.test_sdxl_parity import clip_tokenizer

PICTURE, WEIGHT, STRENGTH = "ab" * 32, 0.7, 0.5
STEPS = {"sd1": 28, "sdxl": 10}     # 999 / 27 and 999 / 9 are whole, so that both libraries visit whole timesteps
UNIT = {"enabled": True, "model": "x", "module": "ip-adapter-auto", "image": PICTURE, "weight": WEIGHT}
WORDS = {"prompt": "a red star", "negative_prompt": "blurry"}
START = np.random.default_rng(2).integers(0, 255, (64, 96, 3), np.uint8)
KINDS = {"sd1": (tiny, StableDiffusionPipeline, StableDiffusionImg2ImgPipeline), "sdxl": (tiny_sdxl, StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline)}
STYLE, COMPOSITION = "up_blocks.0.attentions.1.", "down_blocks.2.attentions.1."      # of SDXL, as InstantStyle names them


def each_alone(rows: Sequence[Row]) -> list[Answer]:
    """Rows that use different things never share a call."""
    return [denoise([row])[0] for row in rows]


class Desk:
    """A model, an IP-Adapter for it, and what the adapter makes of one picture and of none."""

    def __init__(self, folder: Path, family: str) -> None:
        build, self.whole, self.from_picture = KINDS[family]
        self.steps = STEPS[family]
        self.model, self.other, self.family = opened(folder / "a", build()), opened(folder / "b", build()), family
        self.content = ip_adapters.ip_adapter(self.model.denoiser, "plus")
        (folder / "ip_adapter").mkdir()
        save_file(ip_adapters.flat(self.content), folder / "ip_adapter" / "x.safetensors")
        self.adapter: IPAdapter = ip_adapter.load(ModelCatalog((folder,)).find("ip_adapter", "x"), self.model)
        self.prompt: PicturePrompt = self.adapter.projection.prompt([Shown(seen(1), seen(2))], "Average")

    def ours(self, start: bool, **unit: Any) -> Tensor:
        """The latent that Easel would decode."""
        more = {"init_image": "cd" * 32, "denoising_strength": STRENGTH} if start else {}
        request = Request.parse(WORDS | {"steps": self.steps, "seed": 5, "width": 96, "height": 64, "sampler": "Euler", "schedule": "Uniform", "cfg_scale": 5,
                                         "guides": [UNIT | unit]} | more)
        source = Source(START) if start else None
        codec = Codec(Memory(self.model.placement))
        program = draw(plan(request, self.model.parametrisation.table), canvas_of(request, self.model, source), lambda *heard: None, source)
        answers: dict[type, Callable[[Any], Any]] = {
            Calculate: lambda work: calculate([work])[0],
            LoadGuide: lambda work: self.adapter, ShowPicture: lambda work: self.prompt, Shared: lambda work: lambda first_pass: None,
            EncodeText: lambda work: [codec.text(self.model, asked) for asked in work.texts], EncodePicture: lambda work: self.model.encode(work.pixels[None])[0]}
        work = program.send(None)
        while not isinstance(work, DecodeLatent):
            work = program.send(answers.get(type(work), each_alone)(work))
        return work.latent

    def theirs(self, start: bool, *shown: tuple[Tensor, Tensor, Callable[[str], float]]) -> Tensor:
        """Diffusers' latent; of each adapter the vectors without and with the words, and its weight by the attention's name."""
        kind = self.from_picture if start else self.whole
        if self.family == "sd1":
            pipeline = test_img2img_parity.pipeline_of(kind, self.other)
            pipeline.tokenizer = clip_tokenizer("<|endoftext|>")
        else:
            pipeline = test_sdxl_parity.pipeline_of(kind, self.other)
        pipeline.set_progress_bar_config(disable=True)
        unet = pipeline.unet
        unet._load_ip_adapter_weights([self.content] * len(shown), low_cpu_mem_usage=False)
        unet.encoder_hid_proj.image_projection_layers = nn.ModuleList(nn.Identity() for _ in shown)
        for name, processor in unet.attn_processors.items():
            if hasattr(processor, "scale"):
                processor.scale = [WEIGHT * weight(name) for *_, weight in shown]
        # half a step more, so that diffusers begins where the share of the steps is whole
        more = {"image": self.model.encode(START[None]), "strength": (int(STRENGTH * self.steps) + 1.5) / self.steps} if start else {"width": 96, "height": 64}
        more |= {"original_size": (64, 96), "target_size": (64, 96)} if self.family == "sdxl" else {}
        return pipeline(**WORDS, num_inference_steps=self.steps, guidance_scale=5.0, output_type="latent", generator=torch.Generator().manual_seed(5),
                        ip_adapter_image_embeds=[torch.stack([none, picture])[:, None] for none, picture, _ in shown], **more).images[0]


@pytest.fixture(scope="module", params=list(KINDS))
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp(request.param), request.param)


@torch.inference_mode()
@pytest.mark.parametrize("start", [False, True], ids=["txt2img", "img2img"])
def test_a_whole_picture_is_what_diffusers_draws(desk: Desk, start: bool) -> None:
    ours = desk.ours(start)
    assert (ours - desk.theirs(start, (desk.prompt.none, desk.prompt.picture, lambda name: 1.0))).abs().max() < 1e-4
    assert (ours - desk.ours(start, weight=0)).abs().max() > 1e-2


@torch.inference_mode()
@pytest.mark.parametrize("desk", ["sdxl"], indirect=True)      # the tiny network of SD1 has no block of composition
@pytest.mark.parametrize("kind, wanted, other", [("style transfer precise", STYLE, COMPOSITION), ("composition precise", COMPOSITION, STYLE)])
def test_precise_kinds_show_the_picture_to_the_rows_without_words_where_it_is_not_wanted(desk: Desk, kind: str, wanted: str, other: str) -> None:
    """ComfyUI's formula: in the other's blocks the rows without words see the picture, those with words nothing."""
    picture, none = desk.prompt.picture, desk.prompt.none
    expected = desk.theirs(False, (none, picture, lambda name: float(name.startswith(wanted))),
                           (picture, torch.zeros_like(picture), lambda name: float(name.startswith(other))))
    assert (desk.ours(False, weight_type=kind) - expected).abs().max() < 1e-4
    assert (desk.ours(False, weight_type=kind.removesuffix(" precise")) - expected).abs().max() > 1e-2, "what is kept out counts"
