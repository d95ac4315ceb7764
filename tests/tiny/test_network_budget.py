"""Networks of a whole queue within one budget: what is held, who may start, and that nothing else comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import backend.worker.engine.engine as engines
from backend.catalog.model_file import LORA
from backend.messages import Failed, Picture
from backend.prompt.network_terms import Applied
from backend.worker.adapters import lora_branches
from backend.worker.adapters.network_file import expected_bytes, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.device import place
from backend.worker.engine.admission import PASSES, Admission
from backend.worker.engine.row_counts import RowCurve
from backend.worker.models.memory import Memory
from tests.tiny.ldm import save_single, tiny
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_networks import BASE, Studio

FILES, RANK = 8, 4


def network(seed: int, rank: int = RANK) -> dict[str, Tensor]:
    parts = tiny()
    return tensors(parts.unet, "lora_unet_", attention(parts.unet), lora(rank), seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_single(tiny(), folder / "checkpoints" / "first.safetensors")
    for number in range(FILES):
        save(folder / "loras" / f"style{number}.safetensors", network(number))
    return folder


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each network call; on a busy machine smaller calls can seem to pay."""
    monkeypatch.setattr(RowCurve, "record", lambda *call: None)
    original, counts = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: counts.append(len(rows)) or original(rows))
    return counts


def with_room(folder: Path, networks: float) -> Studio:
    studio = Studio(folder)
    studio.memory.budget_bytes = studio.model.bytes + int(networks * sum(each.nbytes for each in network(0).values()))
    return studio


def most_held(studio: Studio) -> int:
    """Draws all; the most bytes that were counted after any step."""
    most = 0
    with torch.inference_mode():
        while studio.engine.step():
            most = max(most, studio.memory._taken("cpu"))
    return most


def drawn(studio: Studio) -> dict[str, bytes]:
    assert not [each for each in studio.events if isinstance(each, Failed)], studio.events
    return {each.job: each.pixels for each in studio.events if isinstance(each, Picture)}


def queue(seed: int, jobs: int) -> dict[str, dict[str, Any]]:
    chance = random.Random(seed)
    return {f"job {number}": {
        "prompt": "a cat" + "".join(f"<lora:style{one}:{chance.choice((0.4, 0.8))}>"
                                    for one in chance.sample(range(FILES), chance.randint(0, 2))),
        "cfg_scale": chance.choice((1.0, 5.0)), "steps": chance.randint(1, 2), "seed": number,
    } for number in range(jobs)}


@pytest.mark.parametrize(("seed", "jobs", "room"), [(1, 4, 5.0), *(
    pytest.param(seed, 24, room, marks=pytest.mark.slow) for seed, room in ((2, 5.0), (3, 6.5), (4, 12.0)))])
def test_a_queue_of_many_networks_never_exceeds_the_budget(folder: Path, seed: int, jobs: int, room: float) -> None:
    """Each of its pictures alone fits, with two networks and their factors beside each other."""
    wanted = queue(seed, jobs)
    studio = with_room(folder, room)
    for job, changes in wanted.items():
        studio.add(job, BASE.replace(**changes))
    assert most_held(studio) <= studio.memory.budget_bytes
    found = drawn(studio)
    assert found.keys() == wanted.keys()
    alone = Studio(folder, "solo")
    for job, changes in wanted.items():
        alone.add(job, BASE.replace(**changes))
    alone.run()
    for job, one in drawn(alone).items():
        difference = (torch.frombuffer(bytearray(one), dtype=torch.uint8).int() - torch.frombuffer(bytearray(found[job]), dtype=torch.uint8).int())
        assert difference.abs().max() <= 1, job


@pytest.mark.slow
def test_at_one_row_count_they_are_to_the_bit_what_they_are_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: original([*rows, *[rows[-1]] * (8 - len(rows))])[:len(rows)])
    monkeypatch.setattr("backend.worker.engine.row_counts.BUCKETS", (1, 2, 4, 8))
    found: list[dict[str, bytes]] = []
    for policy, room in (("packed", 3.0), ("solo", 100.0)):
        studio = with_room(folder, room)
        studio.engine.policy = studio.engine.row_counts._policy = policy
        for job, changes in queue(7, 5).items():
            studio.add(job, BASE.replace(**changes))
        studio.run()
        found.append(drawn(studio))
    assert found[0] == found[1] and len(found[0]) == 5


@pytest.mark.parametrize("room", [0.0, 3.0])
def test_pictures_with_one_network_share_calls_however_small_the_budget(folder: Path, counts: list[int], room: float) -> None:
    studio = with_room(folder, room)
    for number in range(8):
        studio.add(str(number), BASE.replace(prompt="a cat <lora:style0:0.5>", seed=number, steps=1))
    studio.run()
    assert counts == [16] and len(drawn(studio)) == 8


def test_rows_that_share_a_networks_factors_go_together_when_no_more_fit(folder: Path, counts: list[int]) -> None:
    studio = with_room(folder, 3.0)
    for number in range(8):
        studio.add(str(number), BASE.replace(prompt="a cat" + "<lora:style0:0.5>" * (number % 2), seed=number, steps=1))
    held = most_held(studio)
    assert counts == [8, 8] and held <= studio.memory.budget_bytes and len(drawn(studio)) == 8


@pytest.mark.slow
def test_one_that_needs_more_than_the_budget_is_drawn_alone(folder: Path, counts: list[int]) -> None:
    many = "a cat" + "".join(f"<lora:style{number}:0.2>" for number in range(FILES))
    alone, queued = with_room(folder, 2.0), with_room(folder, 2.0)
    alone.add("large", BASE.replace(prompt=many, steps=1))
    most = most_held(alone)
    assert most > alone.memory.budget_bytes
    for number in range(2):
        queued.add(str(number), BASE.replace(prompt=f"a cat <lora:style{number}:0.5>", steps=1))
    queued.add("large", BASE.replace(prompt=many, steps=1))
    assert most_held(queued) <= most and drawn(queued)["large"] == drawn(alone)["large"]


@pytest.mark.parametrize("seed", range(3))
def test_the_bytes_of_a_calls_factors_are_known_before_they_are_made(folder: Path, tmp_path: Path, seed: int) -> None:
    chance, memory = random.Random(seed), Memory(place("cpu", exact=True))
    studio = Studio(folder)
    loaded = {}
    for number in range(4):
        layers = chance.sample(attention(tiny().unet), 9)
        path = save(tmp_path / "loras" / f"other{number}.safetensors",
                    tensors(tiny().unet, "lora_unet_", layers, lora(chance.randint(1, 9)), seed=number))
        file = SimpleNamespace(kind=LORA, key=path.stem, path=str(path), facts={}, sha256="", fingerprint=None)
        loaded[LORA, path.stem] = made = read_network(file, memory.placement)
        assert expected_bytes(file, memory.placement) == made.bytes
    networks = PromptNetworks(studio.model, loaded, memory)
    rows = [networks.unet([Applied(LORA, name, 0.5, 0.5) for _, name in chance.sample(sorted(loaded), chance.randint(0, 3))]).branches
            for _ in range(4)]
    for some in (rows, rows[:1] * 3, rows[1:3]):
        before = lora_branches.stacked_bytes(some)
        with lora_branches.attached(some):
            kept = list(memory.stacked._held.values())
        assert before == kept[-1].nbytes if before else not any(some)


def task(name: str, room: int, owner: str = "ann") -> Any:
    """As much of an engine's task as its admission looks at; `room` is what its picture needs."""
    return SimpleNamespace(run=SimpleNamespace(owner=owner, plot="", job=name), waiting=[0], key="demo",
                           postprocesses=False, drawing=set(), room=room)


@pytest.fixture
def admission() -> Iterator[Admission]:
    def has_room(coming: Any, programs: list[Any]) -> bool:
        return not programs or coming.room + sum(each.task.room for each in programs) <= 10

    yield Admission(has_room)


def test_a_large_one_waits_for_room_and_not_for_ever(admission: Admission) -> None:
    large, small = task("large", 9), [task(f"small {number}", 2) for number in range(100)]
    waiting, programs, order = [small[0], large, *small[1:]], [], []
    while waiting:
        while (found := admission.next(waiting, programs)) is not None:
            waiting.remove(found)
            order.append(found.run.job)
            programs.append(SimpleNamespace(task=found, rows=[0], work=None))
            assert sum(each.task.room for each in programs) <= 10
        programs.pop(0)
    assert len(order) == 101 and order.index("large") <= PASSES + 1


def test_what_is_left_of_the_room_is_not_wasted(admission: Admission) -> None:
    running = [SimpleNamespace(task=admission.next([task("running", 4)], []), rows=[0], work=None)]
    assert admission.next([task("large", 7), task("small", 6)], running).run.job == "small"
    assert admission.next([task("large", 7)], []).run.job == "large"
