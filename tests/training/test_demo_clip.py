"""The shipped CLIP: small, whole, and able to tell what the demo model draws."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel, CLIPProcessor, CLIPVisionModelWithProjection

from backend.catalog.model_catalog import ModelCatalog
from backend.worker.device import place
from backend.worker.models import clip_dual_encoder, clip_vision
from backend.worker.models.clip_dual_encoder import ClipEncoder
from training.captions import caption
from training.drawing import draw
from training.measure_clip import nearer, others, right_caption
from training.scenes import Scene, Thing, random_scenes

MODELS = Path(__file__).parents[2] / "models"
CLIP = MODELS / "clip" / "demo"
RED_CIRCLE = Scene("white", (Thing("red", "circle"),))


@cache
def demo() -> ClipEncoder:
    return clip_dual_encoder.load(ModelCatalog((MODELS,)).find("clip", "demo"), place("cpu", exact=True))


def drawn(scene: Scene, number: int = 1) -> np.ndarray:
    return np.array(draw(scene, 128, number))


def test_it_is_small_and_says_nothing_of_where_it_was_made() -> None:
    assert sum(file.stat().st_size for file in CLIP.rglob("*") if file.is_file()) <= 4e6
    assert "_name_or_path" not in json.loads((CLIP / "config.json").read_text())


@torch.no_grad()
def test_transformers_reads_it_and_sees_the_same() -> None:
    model, processor = CLIPModel.from_pretrained(CLIP).float().eval(), CLIPProcessor.from_pretrained(CLIP)
    given = processor(text=["a red circle on a white background"], images=drawn(RED_CIRCLE), return_tensors="pt")
    told = model(**given)
    assert demo().of_text("a red circle on a white background") == pytest.approx(told.text_embeds[0].numpy(), abs=1e-4)
    assert demo().of_picture(drawn(RED_CIRCLE)) == pytest.approx(told.image_embeds[0].numpy(), abs=1e-4)
    alone = CLIPVisionModelWithProjection.from_pretrained(CLIP).float().eval()       # as an IP-Adapter wants it
    features = torch.nn.functional.normalize(alone(given["pixel_values"]).image_embeds[0], dim=-1)
    assert demo().of_picture(drawn(RED_CIRCLE)) == pytest.approx(features.numpy(), abs=1e-4)
    tower = clip_vision.load(ModelCatalog((MODELS,)).find("clip_vision", "demo"), place("cpu", exact=True))
    assert tower.seen(drawn(RED_CIRCLE)).embedding[0].numpy() == pytest.approx(alone(given["pixel_values"]).image_embeds[0].numpy(), abs=1e-3)


@torch.inference_mode()
def test_a_red_circle_is_one() -> None:
    seen = demo().of_picture(drawn(RED_CIRCLE))
    scores = {words: float(seen @ demo().of_text(words)) for words in (
        "a red circle on a white background", "a blue square on a white background", "a red circle on a black background")}
    assert max(scores, key=scores.get) == "a red circle on a white background"


@torch.inference_mode()
def test_it_tells_captions_and_pictures_apart() -> None:
    scenes = random_scenes(77, 40, held_out=True)
    assert np.mean([right_caption(demo(), scene, number) for number, scene in enumerate(scenes)]) >= 0.5      # by chance 0.125; see its README
    rng = random.Random(1)
    assert np.mean([nearer(demo(), scene, others(scene, rng, 1)[0], number) for number, scene in enumerate(scenes)]) >= 0.9


def test_a_caption_has_room_in_the_text_tower() -> None:
    rng = random.Random(2)
    assert max(len(demo().tokenizer.ids(caption(scene, rng))) for scene in random_scenes(5, 200, held_out=False, count=2)) <= 75


def test_eight_steps_of_a_training_are_small_enough_to_ship() -> None:
    files = sorted((MODELS / "Lora" / "demo-epochs").glob("*.safetensors"))
    assert [file.stem for file in files] == [f"demo-epoch-{number}" for number in range(1, 9)]
    assert sum(file.stat().st_size for file in files) <= 600_000
