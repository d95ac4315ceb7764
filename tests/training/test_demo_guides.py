"""The shipped ControlNets, IP-Adapter, FaceID and InstantID: small, whole, found, and guiding what the demo model draws."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from backend.catalog.guide_files import GUIDE, encoders, guide_file, misfit
from backend.catalog.model_catalog import ModelCatalog
from training import measure_faces, measure_instant_id
from training.drawing import draw, thing_masks
from training.face_networks import KNOWS, PACK
from training.measure_guides import Studio, agreement, green_hearts, measure_outlines, measure_prompts, red_stars
from training.outlines import RESOLUTIONS, anywhere, outline, outline_scenes, painted
from training.scenes import Scene, Thing

MODELS = Path(__file__).parents[2] / "models"
FILES = [MODELS / folder / f"{name}.safetensors" for folder, name in (
    ("ControlNet", "demo-outlines"), ("ControlNet", "demo-instantid-points"), ("IP-Adapter", "demo-picture"),
    ("IP-Adapter", "demo-faceid"), ("IP-Adapter", "demo-instantid"))]
NETWORKS = MODELS / "insightface" / "models" / PACK
SEEN_THROUGH = {"demo-picture": [MODELS / "clip" / "demo"], "demo-faceid": [NETWORKS / KNOWS],
                "demo-instantid": [NETWORKS / KNOWS]}
STAR = Scene("white", (Thing("red", "star"),))


@cache
def studio() -> Studio:
    torch.set_num_threads(1)
    return Studio()


def test_all_are_small_and_say_nothing_of_where_they_were_made() -> None:
    parts = [part for folder in ("ControlNet", "IP-Adapter", "insightface") for part in (MODELS / folder).rglob("*.*")]
    assert {*FILES} <= {*parts} and sum(part.stat().st_size for part in parts) <= 16e6
    assert not any(safe_open(file, "numpy").metadata() for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_are_found_and_fit_the_demo_model(file: Path) -> None:
    catalog = ModelCatalog((MODELS,))
    found = guide_file(file.stem, catalog)
    assert not found.problem and not misfit(found, catalog.find("checkpoint", "demo"))
    towers = encoders({(GUIDE, file.stem): found}, catalog).values()
    assert [Path(tower.path) for tower in towers] == SEEN_THROUGH.get(file.stem, [])


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_outlines_lie_around_things_wherever_they_stand(resolution: int) -> None:
    for number, scene in enumerate(outline_scenes(3, 6, held_out=False, count=1)):
        mask = thing_masks(scene, 128, number, anywhere)[0]
        lines = outline(np.asarray(painted(scene, 128, number)), resolution) > 0
        if scene.plain:
            rows, columns = np.nonzero(lines)
            inside = np.nonzero(mask)
            assert abs(rows.min() - inside[0].min()) <= 5 and abs(columns.max() - inside[1].max()) <= 5
    assert len({tuple(np.argwhere(thing_masks(STAR, 128, number, anywhere)[0])[0]) for number in range(5)}) == 5


def test_agreement_is_1_where_a_thing_is_the_same_and_less_elsewhere() -> None:
    blue = Scene("yellow", (Thing("blue", "star"),))
    assert agreement(painted(STAR, 128, 1), painted(blue, 128, 1)) >= 0.95
    assert agreement(draw(STAR, 128, 1), painted(blue, 128, 1)) < 0.7
    assert agreement(Image.new("RGB", (128, 128), "white"), painted(STAR, 128, 1)) == 0


@pytest.mark.slow
def test_a_red_star_fills_its_outline() -> None:
    told, _ = measure_outlines(studio(), *red_stars(10))
    assert told["IoU, mean"] >= 0.7 and told["colours"] >= 0.8      # 0.8 is the aim; see the demo model's README
    assert told["IoU, mean, without"] < 0.4


@pytest.mark.slow
def test_a_green_heart_is_drawn_without_words() -> None:
    told, _ = measure_prompts(studio(), green_hearts(6))
    assert told["colour and shape"] >= 0.8


@pytest.mark.slow
def test_who_is_shown_is_known_again_in_what_is_drawn() -> None:
    told, _ = measure_faces.measure(studio(), 6)
    assert told["identity kept"] >= 0.8 and told["identity kept, without"] == told["another's identity"] == 0


@pytest.mark.slow
def test_who_is_shown_stands_where_another_pictures_points_are() -> None:
    told, _ = measure_instant_id.measure(studio(), 6)
    assert told["identity kept"] >= 0.8 and told["identity kept, without"] == told["another's identity"] == 0
    assert told["points, mean distance"] < 0.05 < told["points, mean distance to the next picture's"]
