"""What PNG Info says of things that are not here: by name, and by hash where the picture tells it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin
from safetensors.numpy import save_file

from backend.catalog.file_index import Shelf
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.catalog.network_hashes import addnet_hash
from backend.errors import NotFound
from backend.facade.missing_files import WORKFLOW, hashes, missing, with_names_here, with_words_here
from backend.image import infotext
from backend.image.read import Metadata, read_metadata

LINE = "Steps: 9, Sampler: Euler a, CFG scale: 3, Seed: 12, Size: 128x64"


class FakeCatalog(ModelCatalog):
    """Files of these names, of every kind."""

    def __init__(self, here: Iterable[str] = ()) -> None:
        super().__init__(())
        self._shelves = {kind: Shelf(tuple(ModelFile(kind, name, "", name) for name in here)) for kind in self.kinds}

    def find(self, kind: str, name: str = "") -> ModelFile:
        if found := self._shelves[kind].named(name):
            return found
        raise NotFound("not here")


def told(text: str, here: Iterable[str] = (), **values: object) -> list[str]:
    found = infotext.read(text)
    kept = {name: value for name, value in found.values.items() if name != "checkpoint"} | values
    return list(missing(Metadata(text, None, "png", 8, 8), found, kept, FakeCatalog(here)))


@pytest.mark.parametrize(("keys", "named"), [
    ("VAE Decoder: TAESD, Token merging ratio: 0.5", "VAE Decoder (TAESD), Token merging ratio (0.5)"),
    ("vae: None, FP8 weight: Disable, Pad conds: False", ""), ("ENSD: 5", ""),
])
def test_what_easel_does_without_is_said(keys: str, named: str) -> None:
    assert told(f"a tree\n{LINE}, {keys}") == ([f"Easel does without what else changed this picture: {named}."] if named else [])


def test_a_model_of_a_unit_is_named() -> None:
    text = f'a tree\n{LINE}, ControlNet 0: "Module: canny, Model: c [0123abcd]", ControlNet 1: "Module: none, Model: d"'
    assert told(text) == [f"The ControlNet {name} is not in the models folders." for name in ("c [0123abcd]", "d")]


def test_a_unit_that_is_not_understood_is_told_alone() -> None:
    """The others count, and their models are looked for."""
    text = f'a tree\n{LINE}, ControlNet 0: "Module: canny, Model: c", ControlNet 1: "Module: depth_strange, Model: d"'
    assert told(text) == ["The ControlNet c is not in the models folders.", "Not understood: ControlNet 1 (Module: depth_strange, Model: d)."]
    text = f"a tree\n{LINE}, ADetailer model: face, ADetailer model 2nd: hand, ADetailer confidence 2nd: much"
    assert told(text)[-1] == "Not understood: ADetailer 2nd."


def test_what_is_not_understood_is_told_as_it_stands() -> None:
    assert told(f"a tree\n{LINE.replace('Sampler: ', 'Sampler: Strange ')}, Clip skip: many") == ["Not understood: Clip skip (many), Sampler (Strange Euler a)."]


def test_a_lora_is_named_by_its_hash() -> None:
    text = f'a tree <lora:leaves:0.8> <lora:bark:1>\n{LINE}, Lora hashes: "leaves: 7c6bad76eb54, hidden: 0123456789ab"'
    assert told(text) == [
        "The LoRA leaves [7c6bad76eb54] is not in the models folders.",
        "The LoRA bark is not in the models folders.",
        "The LoRA hidden [0123456789ab] is not in the models folders.",
    ]
    assert told(text, here=["Leaves"])[0] == "The LoRA bark is not in the models folders."


def test_embeddings_and_other_networks() -> None:
    text = f'a <hypernet:old:1>\nNegative prompt: EasyNegative\n{LINE}, TI hashes: "EasyNegative: c74b4e810b03"'
    assert told(text) == ["The embedding EasyNegative [c74b4e810b03] is not in the models folders.",
                          "The hypernetwork old is not in the models folders."]
    assert told(f"a <strange:old:1>\n{LINE}") == ["The strange old was used; Easel knows no networks of this kind."]


def test_another_file_of_the_same_name_is_told_and_another_name_of_the_same_file_is_found() -> None:
    catalog = FakeCatalog()
    files = (ModelFile("lora", "leaves", "", "leaves", facts={"model_hash": "0123456789ab" + "0" * 52}),
             ModelFile("lora", "mine", "", "mine", facts={"model_hash": "7c6bad76eb54" + "0" * 52}))
    catalog._shelves["lora"] = Shelf(files)
    text = f'a <lora:leaves:0.8>\n{LINE}, Lora hashes: "leaves: fedcba987654"'
    found = infotext.read(text)
    assert list(missing(Metadata(text, None, "png", 8, 8), found, found.values, catalog)) == [
        "The LoRA leaves here is another file than the one that was used [fedcba987654]."]
    theirs = {"theirs": "7c6bad76eb54", "gone": "000000000000"}
    assert with_names_here("a <lora:theirs:0.8:te=1> <lyco:theirs> <lora:gone:1> <lora:leaves>", theirs, catalog) == (
        "a <lora:mine:0.8:te=1> <lyco:mine> <lora:gone:1> <lora:leaves>")


def test_an_embedding_that_has_another_name_here_is_found_by_its_hash_in_all_texts(tmp_path: Path) -> None:
    (tmp_path / "embeddings").mkdir()
    save_file({"emb_params": np.ones((1, 768), np.float32)}, tmp_path / "embeddings" / "mine.safetensors")
    catalog = ModelCatalog((tmp_path,))
    theirs = {"their-word": catalog.hash_of(catalog.find("embedding", "mine"))[:12], "gone": "000000000000"}
    assert with_words_here("a (Their-Word:1.2), gone, their-words", theirs, catalog) == "a (mine:1.2), gone, their-words"


def test_files_whose_headers_tell_no_hash_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    save_file({"lora_unet_x.lora_down.weight": np.ones((1, 2), np.float32)}, tmp_path / "loras" / "one, two.safetensors")
    catalog = ModelCatalog((tmp_path,))
    digest = addnet_hash(tmp_path / "loras" / "one, two.safetensors")
    for told, words in ((digest[:12], []), ("fedcba987654", ["another file"])):
        text = f'a <lora:one, two:1>\n{LINE}, Lora hashes: "one two: {told}"'
        found = infotext.read(text)
        said = list(missing(Metadata(text, None, "png", 8, 8), found, found.values, catalog))
        assert len(said) == len(words) and all(word in each for word, each in zip(words, said, strict=True)), said
    assert catalog.find("lora", "one, two").sha256 == digest
    assert with_names_here("<lora:other, name:1>", {"other name": digest[:12]}, catalog) == "<lora:one, two:1>"


@pytest.mark.parametrize(("model", "name"), [
    ("Model hash: 0123456789, Model: absent", "absent [0123456789]"), ("Model hash: 0123456789", "0123456789"), ("Model: absent", "absent"),
])
def test_the_checkpoint(model: str, name: str) -> None:
    assert told(f"a tree\n{LINE}, {model}") == [f"The checkpoint {name} is not in the models folders."]
    assert told(f"a tree\n{LINE}, {model}", checkpoint="absent") == []


@pytest.mark.parametrize("text", ["", ":", ",", "a", "a:", ": b", "x" * 10_000, ",:" * 10_000])
def test_any_text_of_hashes_is_read(text: str) -> None:
    assert "" not in hashes(text)


def comfy(kind: str, **also: str) -> bytes:
    out, text = io.BytesIO(), '{"3": {"class_type": "KSampler"}}'
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        for key, value in {"prompt": text, "workflow": text, **also}.items():
            info.add_text(key, value)
        Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=info)
    else:
        exif = Image.Exif()
        exif[ExifTags.Base.Model] = f"prompt:{text}"
        Image.new("RGB", (8, 8)).save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_workflow_alone_is_told(kind: str) -> None:
    saved = read_metadata(comfy(kind))
    assert saved.program == "ComfyUI" and list(missing(saved, infotext.read(""), {}, FakeCatalog())) == [WORKFLOW]


def test_comfyuis_text_is_read_where_it_has_one() -> None:
    saved = read_metadata(comfy("PNG", parameters=f"a tree\n{LINE}"))
    assert infotext.read(saved.infotext).values["steps"] == 9
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "PNG")
    saved = read_metadata(plain.getvalue())
    assert not saved.program and list(missing(saved, infotext.read(""), {}, FakeCatalog())) == []
