"""The shipped demo model: complete, small, of the SD1 family, and its pictures mean what was asked."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTokenizer

from backend.prompt.tokenizer import Tokenizer
from training.checker import judge, look
from training.drawing import draw
from training.measure import Question, load, sample
from training.scenes import COLOURS, SHAPES, SIZES, Scene, Thing, random_scenes
from training.train_autoencoder import reconstructed

DEMO = Path(__file__).parents[2] / "models" / "demo"

pytestmark = pytest.mark.skipif(not (DEMO / "model_index.json").exists(), reason="the demo model is not there")


def test_it_is_whole_and_small():
    for part in ("unet", "vae", "text_encoder"):
        assert list((DEMO / part).glob("*.safetensors"))
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 60e6
    assert "/" not in json.loads((DEMO / "vae" / "config.json").read_text()).get("_name_or_path", "")


def test_every_word_of_the_vocabulary_is_one_token():
    tokenizer = Tokenizer.from_folder(DEMO / "tokenizer")
    for word in (*COLOURS, *SHAPES, *SIZES, "left", "right", "top", "bottom", "background", ","):
        assert len(tokenizer.ids(word)) == 1, word
    assert tokenizer.comma is not None


@pytest.mark.parametrize("text", ["a small red circle, and a blue star on the left", "Zebra! 42 äöü 猫", ""])
def test_the_tokenizer_agrees_with_transformers(text):
    own = Tokenizer.from_folder(DEMO / "tokenizer")
    theirs = CLIPTokenizer.from_pretrained(DEMO / "tokenizer")
    assert [own.start, *own.ids(text), own.end] == theirs(text).input_ids
    assert theirs.model_max_length == 77
    assert own.pad == theirs.pad_token_id == own.end


def test_the_text_encoder_knows_its_special_tokens():
    config = CLIPTextModel.from_pretrained(DEMO / "text_encoder").config
    tokenizer = Tokenizer.from_folder(DEMO / "tokenizer")
    assert (config.bos_token_id, config.eos_token_id) == (tokenizer.start, tokenizer.end)
    assert config.vocab_size == tokenizer.bpe.get_vocab_size()


def test_the_autoencoder_keeps_colours_and_shapes():
    vae = AutoencoderKL.from_pretrained(DEMO / "vae").eval()
    scenes = random_scenes(8, 8, held_out=True, count=1, plain=1.0)
    pictures = np.stack([np.asarray(draw(scene, seed=number)) for number, scene in enumerate(scenes)])
    verdicts = [judge(picture, scene) for picture, scene in zip(reconstructed(vae, pictures), scenes, strict=True)]
    assert all(verdict.background for verdict in verdicts)
    assert sum(verdict.things_right for verdict in verdicts) >= 7


@pytest.mark.slow
def test_it_draws_what_it_is_asked():
    scenes = [
        Scene("blue", (Thing("red", "circle"),)),
        Scene("white", (Thing("green", "tree"),)),
        Scene("yellow", (Thing("purple", "heart"),)),
        Scene("black", (Thing("orange", "square"),)),
    ]
    asked = [
        Question(scene, f"a {scene.things[0].colour} {scene.things[0].shape} on a {scene.background} background", seed)
        for seed, scene in enumerate(scenes)
    ]
    sights = [look(picture) for picture in sample(load(DEMO), asked, steps=15, cfg=5.0)]
    assert [sight.background for sight in sights] == [scene.background for scene in scenes]
    drawn = [(sight.objects[0].colour, sight.objects[0].shape) for sight in sights if sight.objects]
    wanted = [(scene.things[0].colour, scene.things[0].shape) for scene in scenes]
    assert sum(one == other for one, other in zip(drawn, wanted, strict=False)) >= 3
