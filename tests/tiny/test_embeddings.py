"""Textual inversion in every layout, at the embedding layer of one and of two text encoders; and where it is bad."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_problems import embeddings_named, vector_counts
from backend.errors import CheckpointError
from backend.messages import Failed, Picture
from backend.prompt.chunks import count
from backend.prompt.tokenizer import Tokenizer
from backend.request.request import Request
from backend.worker.adapters.embedding_file import read_embedding
from tests.tiny.ldm import save_folder, tiny, tiny_sdxl
from tests.tiny.networks import save
from tests.tiny.test_networks import Studio

VECTORS = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))


def table() -> dict[str, object]:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "own name", "step": 7, "sd_checkpoint": None}


def as_json() -> str:
    return json.dumps(table() | {"string_to_param": {"*": {"TORCHTENSOR": VECTORS.tolist()}}})


def hidden(file: Path) -> None:
    """A picture with the vectors in stripes beside it, as AUTOMATIC1111 draws them."""
    packed = np.frombuffer(zlib.compress(as_json().encode()), np.uint8)
    height = 64
    whole = np.resize(packed, -(-len(packed) // (height * 3)) * height * 3)
    noise, state = [], 0
    for _ in range(len(whole)):
        state = (1664525 * state + 1013904223) % 2**32
        noise.append(state % 255 & 0x0F)
    stripes = [((half ^ np.array(noise, np.uint8)) | 0xF0).reshape(height, -1, 3) for half in (whole & 0x0F, whole >> 4)]
    gap = np.zeros((height, 1, 3), np.uint8)
    picture = np.full((height, 64, 3), 0x5F, np.uint8)
    Image.fromarray(np.concatenate([stripes[0], gap, picture, gap, stripes[1]], axis=1)).save(file, lossless=True)


def told(file: Path) -> None:
    text = PngInfo()
    text.add_text("sd-ti-embedding", base64.b64encode(as_json().encode()).decode())
    Image.new("RGB", (64, 64), "green").save(file, pnginfo=text)


LAYOUTS = {
    "a1111.pt": lambda file: torch.save(table(), file),
    "parameters.pt": lambda file: torch.save(table() | {"string_to_param": nn.ParameterDict({"*": nn.Parameter(VECTORS)})}, file),
    "diffusers.bin": lambda file: torch.save({"<word>": VECTORS[0]}, file),
    "kohya.safetensors": lambda file: save_file({"emb_params": VECTORS}, file),
    "diffusers.safetensors": lambda file: save_file({"<word>": VECTORS}, file),
    "card.png": told, "card.webp": hidden, "stripes.png": hidden,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / "embeddings" / name
    file.parent.mkdir()
    LAYOUTS[name](file)
    found, = ModelCatalog((tmp_path,)).listed("embedding")
    expected = VECTORS[:1] if name == "diffusers.bin" else VECTORS
    assert found.problem == "" and found.facts["vectors"] == len(expected)
    vectors, = read_embedding(found).on((32,)).vectors
    assert torch.allclose(vectors, expected) and read_embedding(found).on((768,)) is None


def test_a_picture_beside_a_file_is_its_preview(tmp_path: Path) -> None:
    (tmp_path / "embeddings").mkdir()
    save_file({"emb_params": VECTORS}, tmp_path / "embeddings" / "word.safetensors")
    for name in ("word.png", "word.preview.png", "other.png"):
        Image.new("RGB", (64, 64), "green").save(tmp_path / "embeddings" / name)
    assert [file.key for file in ModelCatalog((tmp_path,)).listed("embedding")] == ["word"]


class Canary:
    def __reduce__(self) -> tuple:
        return (open, ("/tmp/easel-canary", "w"))


@pytest.mark.parametrize(("name", "content"), [
    ("empty.pt", b""), ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{\"emb"), ("code.pt", pickle.dumps(Canary())), ("text.png", b"no picture"),
    ("nothing.bin", pickle.dumps({})),
])
def test_broken_ones_are_told_and_not_used(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / name).write_bytes(content)
    catalog = ModelCatalog((tmp_path,))
    found, = catalog.listed("embedding")
    assert found.problem and not embeddings_named(Request(prompt=found.key), catalog) and not Path("/tmp/easel-canary").exists()
    with pytest.raises(CheckpointError):
        read_embedding(found)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    torch.set_num_threads(1)
    save_folder(tiny(), tmp_path / "checkpoints" / "first")
    save(tmp_path / "embeddings" / "Easy-Word.safetensors", {"emb_params": VECTORS})
    save(tmp_path / "embeddings" / "wide.safetensors", {"emb_params": torch.randn(2, 768)})
    return Studio(tmp_path)


def by_hand(studio: Studio, before: list[int], vectors: Tensor) -> Tensor:
    """The encoder on embeddings put together by hand, at the tokens' places."""
    encoder, clip = studio.model.text_encoders[0], Tokenizer.clip()
    tokens = torch.tensor([[clip.start, *before, *[0] * len(vectors), *[clip.end] * (76 - len(before) - len(vectors))]])
    own = encoder.get_input_embeddings()(tokens)
    own[0, 1 + len(before) : 1 + len(before) + len(vectors)] = vectors
    handle = encoder.get_input_embeddings().register_forward_hook(lambda *given: own)
    try:
        return encoder(input_ids=tokens).last_hidden_state[0]
    finally:
        handle.remove()


@torch.inference_mode()
def test_vectors_stand_where_their_name_stood(studio: Studio) -> None:
    word = read_embedding(studio.catalog.find("embedding", "Easy-Word")).on((32,))
    encoded = studio.model.encode_text("a cat easy-word", embeddings={"Easy-Word": word})
    assert torch.allclose(encoded.tokens, by_hand(studio, Tokenizer.clip().ids("a cat"), VECTORS), atol=1e-5)
    assert encoded.embeddings == ("Easy-Word",) and [each.text for each in encoded.words] == ["a", "cat", "Easy-Word"]
    assert len(encoded.words[-1].positions) == 3
    heavy = studio.model.encode_text("a cat (EASY-WORD:1.3)", embeddings={"Easy-Word": word})
    assert not torch.allclose(heavy.tokens, encoded.tokens)
    assert not studio.model.text_encoders[0].get_input_embeddings()._forward_hooks


def test_pictures_with_embeddings_tell_their_hashes(studio: Studio) -> None:
    plain = studio.draw(prompt="a cat", negative_prompt="bad")
    positive = studio.draw(prompt="a cat easy-word", negative_prompt="bad")
    negative = studio.draw(prompt="a cat", negative_prompt="bad EASY-WORD")
    edited = studio.draw(prompt="a cat [easy-word:0.5]", negative_prompt="bad")
    assert len({plain.pixels, positive.pixels, negative.pixels, edited.pixels}) == 4
    assert "TI hashes" not in plain.facts
    assert positive.facts["TI hashes"].startswith("Easy-Word: ") and positive.facts == negative.facts == edited.facts
    unfit = studio.draw(prompt="a cat wide", negative_prompt="bad")
    assert any("wide is made for other text encoders" in note for note in unfit.notes) and "TI hashes" not in unfit.facts


def test_a_replaced_file_is_read_again_and_nan_is_refused(studio: Studio, tmp_path: Path) -> None:
    first = studio.draw(prompt="a cat easy-word")
    save(tmp_path / "embeddings" / "Easy-Word.safetensors", {"emb_params": -2 * VECTORS})
    assert studio.draw(prompt="a cat easy-word").pixels != first.pixels
    save(tmp_path / "embeddings" / "Easy-Word.safetensors", {"emb_params": VECTORS * float("nan")})
    studio.add("bad", Request(prompt="easy-word", checkpoint="first", steps=2, width=64, height=64))
    studio.run()
    failed, = [each for each in studio.events if isinstance(each, Failed)]
    assert failed.problems[0].field == "prompt" and "no numbers" in failed.problems[0].message


def test_the_counter_counts_vectors(studio: Studio) -> None:
    text = "a cat, easy-word"
    assert vector_counts(text, studio.catalog, "sd1") == {"Easy-Word": 3}
    assert vector_counts("wide", studio.catalog, "sdxl") == {} != vector_counts("wide", studio.catalog, "sd1"), "read as a word"
    clip = Tokenizer.clip()
    assert count(text, clip, 20, vector_counts(text, studio.catalog, "sd1"))[0] == len(clip.ids("a cat,")) + 3


@torch.inference_mode()
def test_sdxl_has_two_vectors_for_a_word(tmp_path: Path) -> None:
    save_folder(tiny_sdxl(), tmp_path / "checkpoints" / "first")
    both = {"clip_l": VECTORS, "clip_g": torch.randn(3, 64)}
    save(tmp_path / "embeddings" / "word.safetensors", both)
    studio = Studio(tmp_path)
    file = studio.catalog.find("embedding", "word")
    assert file.family == "sdxl"
    assert studio.model.word_widths == (32, 64)
    word = read_embedding(file).on((32, 64))
    assert [each.shape for each in word.vectors] == [(3, 32), (3, 64)]
    plain, worded = studio.model.encode_text("a word"), studio.model.encode_text("a word", embeddings={"word": word})
    narrow, wide = (worded.tokens[:, part] != plain.tokens[:, part] for part in (slice(32), slice(32, None)))
    assert narrow.any() and wide.any() and worded.embeddings == ("word",)
    picture = studio.draw(prompt="a word")
    assert isinstance(picture, Picture) and picture.facts["TI hashes"].startswith("word: ")


def test_words_that_come_with_a_lora(studio: Studio, tmp_path: Path) -> None:
    """Trap: diffusers refuses the file."""
    to_q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save(tmp_path / "loras" / "pack.safetensors", {
        f"{to_q}.lora_up.weight": torch.randn(32, 2), f"{to_q}.lora_down.weight": torch.randn(2, 32),
        "bundle_emb.newword.string_to_param.*": VECTORS})
    studio.catalog.refresh()
    assert vector_counts("a newword <lora:pack:0.5>", studio.catalog, "sd1") == {"newword": 3} != vector_counts("newword", studio.catalog, "sd1")
    with_word, without = (studio.draw(prompt=f"a cat {word} <lora:pack:0.5>") for word in ("newword", "newwort"))
    assert with_word.pixels != without.pixels and "1 of 1 layers" in " ".join(with_word.notes)
    assert studio.draw(prompt="a cat newword").pixels != with_word.pixels
