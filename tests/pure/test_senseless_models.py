"""Model files whose numbers, texts and shapes make sense nowhere: each is its own loss, and no list's, page's or job's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.catalog import embedding_cards, vaes
from backend.catalog.call_estimate import CallEstimate
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, LORA, VAE
from backend.catalog.network_problems import misfit
from backend.catalog.peft_alphas import peft_alphas
from backend.files.regular_files import read_config
from backend.http import create_app
from tests.pure.test_catalog import write
from tests.pure.test_model_kinds import told
from tests.pure.test_prompt_networks import SD1, UNET

ENDLESS = "9" * 4200        # Python reads it, and no float holds it
TO_K = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
FITS = {f"{TO_K}.lora_down.weight": (4, 768), f"{TO_K}.lora_up.weight": (320, 4)}
SECONDS = 4.0               # for what took 21


def test_whole_numbers_that_no_float_holds_are_infinite(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(f'{{"a": {ENDLESS}, "b": -{ENDLESS}, "c": {2**63}, "d": -7}}')
    assert read_config(tmp_path / "x.json") == {"a": float("inf"), "b": float("-inf"), "c": 2**63, "d": -7}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    write(tmp_path / "Lora" / "ink.safetensors", FITS)
    backend = Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False)
    with TestClient(create_app(backend), base_url="http://127.0.0.1:7860") as client:
        yield client
    backend.close()


@pytest.mark.parametrize("notes", [f'"preferred weight": {ENDLESS}', '"activation text": "\\ud800"', '"of another program": "\\udfff"'],
                         ids=["weight", "word", "other"])
def test_notes_beside_one_network_hide_no_list_and_can_be_written_anew(client: TestClient, tmp_path: Path, notes: str) -> None:
    (tmp_path / "Lora" / "ink.json").write_text(f"{{{notes}}}")
    listed = client.get("/easel/networks/lora")
    assert listed.status_code == 200 and [(card["name"], card["weight"]) for card in listed.json()["cards"]] == [("ink", None)]
    kept = client.post("/easel/networks/lora/notes", params={"name": "ink"}, json={"notes": "mine"})
    assert kept.status_code == 200 and kept.json()["notes"] == "mine"


def test_words_that_were_counted_beyond_all_numbers(client: TestClient, tmp_path: Path) -> None:
    told(tmp_path / "Lora" / "oil.safetensors", FITS, ss_tag_frequency=f'{{"a": {{"brush": 3, "oil": {ENDLESS}}}, "b": {{"oil": {ENDLESS}}}}}')
    details = client.get("/easel/networks/lora/details", params={"name": "oil"})
    assert details.status_code == 200 and details.json()["tags"][0] == {"tag": "brush", "count": 3}


@pytest.mark.parametrize("name", ["unet.lora_alpha", "eps", "num_cayley_neumann_terms"])
def test_numbers_of_peft_that_no_float_holds(tmp_path: Path, name: str) -> None:
    write(tmp_path / "checkpoints" / "base.safetensors", SD1)
    rotation = {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.oft_R": (2, 6)}
    settings = {"unet.lora_alpha": 4, "use_cayley_neumann": True, "coft": True, "eps": 1, "num_cayley_neumann_terms": 3, name: 5}
    metadata = {"lora_adapter_metadata": json.dumps(settings).replace("5", ENDLESS)}
    assert len(peft_alphas(metadata, {"unet.mid_block.x.lora_A.weight": (4, 768)})) == (name != "unet.lora_alpha")
    told(tmp_path / "Lora" / "x.safetensors", FITS | rotation, **metadata)
    catalog = ModelCatalog((tmp_path,))
    assert not misfit(catalog.find(LORA, "x"), catalog.find(CHECKPOINT, "base"))


@pytest.mark.parametrize("strange", [
    {"conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight": ()}, {UNET + "input_blocks.0.0.op.weight": (1,)},
    {UNET + "up_blocks.999.resnets.0.conv1.weight": (4, 4)}, {UNET + f"output_blocks.{number}.0.conv.weight": (4, 4) for number in range(999)},
], ids=["in_proj", "first block", "block 999", "999 blocks"])
def test_a_checkpoint_of_a_strange_build_is_judged_all_the_same(tmp_path: Path, strange: dict[str, tuple[int, ...]]) -> None:
    write(tmp_path / "checkpoints" / "base.safetensors", SD1 | strange)
    catalog = ModelCatalog((tmp_path,))
    write(tmp_path / "Lora" / "x.safetensors", FITS)
    misfit(catalog.find(LORA, "x"), catalog.find(CHECKPOINT, "base"))
    CallEstimate.of(SD1 | strange)


@pytest.mark.parametrize("config", [f'{{"scaling_factor": {ENDLESS}}}', json.dumps({"block_out_channels": [1] * 100_000})], ids=["scale", "stages"])
def test_the_vae_of_a_strange_folder_is_judged_all_the_same(tmp_path: Path, config: str) -> None:
    folder = tmp_path / "checkpoints" / "x"
    write(folder / "vae" / "model.safetensors", {})
    write(folder / "unet" / "model.safetensors", {})
    (folder / "vae" / "config.json").write_text(config)
    (folder / "unet" / "config.json").write_text('{"in_channels": 4}')
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    write(tmp_path / "VAE" / "v.safetensors", {"decoder.conv_in.weight": (8, 4, 3, 3), "encoder.down.3.x": (1,), "encoder.conv_in.weight": (1,), "encoder.conv_out.weight": (1,), "decoder.conv_out.weight": (1,), "quant_conv.weight": (1,), "post_quant_conv.weight": (1,)})
    catalog = ModelCatalog((tmp_path,))
    assert isinstance(vaes.misfit(catalog.find(VAE, "v"), catalog.find(CHECKPOINT, "x")), str)


def test_a_picture_that_only_looks_like_a_card_costs_little(tmp_path: Path) -> None:
    """Two dark columns in a picture without any other: all beside them might be vectors."""
    pixels = np.full((4000, 4000, 3), 0x11, np.uint8)
    pixels[:, 1999:2001] = 0x10
    Image.fromarray(pixels).save(tmp_path / "x.png", compress_level=1)
    started = time.process_time()
    assert embedding_cards.read_card(tmp_path / "x.png") is None
    assert time.process_time() - started < SECONDS
