"""One owner and one budget: what leaves first, what never leaves, and what is tried before a picture is given up."""

from __future__ import annotations

import gc
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import backend.worker.engine.engine as engines
from backend.catalog import fingerprints
from backend.catalog.call_estimate import CallEstimate
from backend.catalog.model_file import ModelFile
from backend.errors import OutOfMemory
from backend.messages import Failed, Hashed, Loading, Picture, Progress
from backend.worker.device import place
from backend.worker.models import background_hash, denoiser_memory, model_base
from backend.worker.models.device_transfer import move
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.upscaler import load as load_upscaler
from tests.tiny import upscalers
from tests.tiny.test_engine import BASE, Studio, counts, house

__all__ = ["counts", "house"]

CPU, CARD = torch.device("cpu"), torch.device("cuda")
PLACE = place("cpu", exact=True)
ON_CARD = replace(PLACE, device=CARD)
FULL = torch.OutOfMemoryError("CUDA out of memory")


@dataclass(eq=False)
class Block:
    """A network that is nothing but its size."""

    bytes: int = 100
    device: torch.device = field(default_factory=lambda: CARD)
    refuses: torch.device | None = None

    def to(self, device: torch.device) -> Block:
        if device == self.refuses:
            raise FULL
        self.device = device
        return self


class User:
    """Somebody who pins."""


def fetch(memory: Memory, name: str, kind: str = "upscaler", **facts: object) -> Block:
    return memory.fetch(kind, name, f"/nowhere/{name}", lambda: Block(**{"device": memory.placement.device, **facts}))


def test_networks_of_every_kind_share_one_budget() -> None:
    memory = Memory(PLACE, 250, load=lambda checkpoint, placement: Block(device=CPU))
    memory.get(ModelFile("checkpoint", "model", "/nowhere/model", family="sd1"))
    fetch(memory, "enlarger"), fetch(memory, "face detector", "face detector")
    assert memory.loaded == ("enlarger", "face detector") and memory.bytes == 200
    assert fetch(memory, "enlarger") is fetch(memory, "enlarger")
    fetch(memory, "enlarger", "vae")
    assert memory.loaded == ("enlarger", "enlarger"), "a name belongs to its kind"


def test_what_a_running_program_uses_never_leaves() -> None:
    memory, user = Memory(PLACE, 250), User()
    used = fetch(memory, "used")
    memory.pin(used, user)
    for name in "abcd":
        fetch(memory, name)
        assert fetch(memory, "used") is used
        fetch(memory, name)
    assert memory.loaded == ("used", "d")
    assert memory.free_idle() and memory.loaded == ("used",) and not memory.free_idle()
    memory.unpin(user)
    assert memory.free_idle() and memory.loaded == ()


def test_a_pin_ends_with_its_user() -> None:
    memory, user = Memory(PLACE, 250), User()
    memory.pin(fetch(memory, "used"), user)
    del user
    gc.collect()
    fetch(memory, "a"), fetch(memory, "b")
    assert memory.loaded == ("a", "b")


def test_a_pinned_network_stays_on_the_card_and_is_counted_after_its_file_has_changed(tmp_path: Path) -> None:
    memory, user, file = Memory(ON_CARD, 250), User(), tmp_path / "network"
    file.write_bytes(b"old")
    old = memory.fetch("upscaler", "one", str(file), Block)
    memory.pin(old, user)
    file.write_bytes(b"newer")
    new = memory.fetch("upscaler", "one", str(file), Block)
    assert new is not old and memory.bytes == 200 and memory.loaded == ("one",)
    fetch(memory, "another")
    assert (old.device, new.device) == (CARD, CPU)


def test_caches_count_and_are_emptied_before_a_network_leaves() -> None:
    memory = Memory(PLACE, 1000)
    cache = memory.cache(10**6)
    fetch(memory, "a", bytes=400)
    for key in range(5):
        cache.get(key, lambda: torch.zeros(50))             # 200 bytes each
    assert cache.bytes == 600, "what the networks leave of the budget"
    fetch(memory, "b", bytes=400)
    assert memory.loaded == ("a", "b") and cache.bytes == 200
    fetch(memory, "c", bytes=400)
    assert memory.loaded == ("b", "c") and cache.bytes == 0
    assert cache.get("large", lambda: torch.zeros(10**6)).nbytes == 4 * 10**6 and cache.bytes == 0, "handed out, not kept"
    assert memory.loaded == ("b", "c"), "nobody left for what does not fit at all"


def test_what_a_call_needs_stays_and_other_results_make_room_for_it() -> None:
    memory = Memory(PLACE, 1000)
    cache, needed = memory.cache(10**6), memory.cache(10**6, needed=True)
    fetch(memory, "a", bytes=400)
    cache.get("word", lambda: torch.zeros(100))
    needed.get("first", lambda: torch.zeros(50), coming=200)
    assert (cache.bytes, needed.bytes, memory.loaded) == (400, 200, ("a",))
    seen: list[int] = []
    needed.get("second", lambda: seen.append(needed.bytes + cache.bytes) or torch.zeros(100), coming=400)
    assert (cache.bytes, needed.bytes, memory.loaded) == (0, 600, ("a",)) and seen == [200], "room was there before it was made"
    needed.get("large", lambda: torch.zeros(1000), coming=4000)
    assert (cache.bytes, needed.bytes, memory.loaded) == (0, 4000, ()), "it is made all the same, and nothing stays beside it"


def test_a_cache_gives_back_what_it_holds() -> None:
    cache, made = Memory(PLACE, 10**9).cache(400), []
    for key in (1, 2, 1, 3, 1, 2):
        cache.get(key, lambda key=key: made.append(key) or torch.zeros(50))
    assert made == [1, 2, 3, 2], "the one used longest ago left first"


def test_upscalers_are_shelved_and_come_back() -> None:
    memory = Memory(ON_CARD, 150, ram_bytes=150)
    first = fetch(memory, "first")
    second = fetch(memory, "second")
    assert (first.device, second.device) == (CPU, CARD)
    assert fetch(memory, "first") is first and (first.device, second.device) == (CARD, CPU)
    fetch(memory, "third")
    assert memory.loaded == ("first", "third"), "main memory has a budget, too"


def test_what_cannot_be_shelved_is_dropped() -> None:
    memory = Memory(ON_CARD, 150)
    fetch(memory, "first", refuses=CPU)
    fetch(memory, "second")
    assert memory.loaded == ("second",)


# ---- running out of memory ----

def test_a_call_is_tried_again_without_caches_and_idle_networks() -> None:
    memory, user, tries = Memory(ON_CARD, 10**6), User(), []
    memory.pin(fetch(memory, "used"), user)
    idle = fetch(memory, "idle")
    cache = memory.cache(10**6)
    cache.get("text", lambda: torch.zeros(9))

    def call() -> str:
        tries.append((cache.bytes, idle.device))
        if len(tries) == 1:
            raise FULL
        return "done"

    assert memory.attempt(call) == "done" and tries == [(36, CARD), (0, CPU)]


def test_a_call_that_never_fits_ends_in_a_sentence_and_other_errors_go_on() -> None:
    memory, tries = Memory(ON_CARD, 10**6), []
    fetch(memory, "idle")

    def call() -> None:
        tries.append(0)
        raise FULL

    with pytest.raises(OutOfMemory) as caught:
        memory.attempt(call)
    assert caught.value.problems[0].field == "width"
    assert len(tries) == 3 and memory.loaded == (), "first off the card, then out of main memory"
    with pytest.raises(ZeroDivisionError):
        memory.attempt(lambda: 1 / 0)


def test_loading_makes_room_when_the_budget_was_too_hopeful() -> None:
    memory = Memory(ON_CARD, 10**6)
    idle = fetch(memory, "idle")

    def load() -> Block:
        if idle.device == CARD:
            raise FULL
        return Block()

    assert memory.fetch("upscaler", "new", "/nowhere/new", load).device == CARD
    with pytest.raises(OutOfMemory, match="huge needs more memory"):
        memory.fetch("upscaler", "huge", "/nowhere/huge", lambda: Block(refuses=CARD))


def test_idle_networks_leave_before_rows_are_split(house, monkeypatch, counts) -> None:
    memory, checkpoints = house
    memory.clear()
    memory.get(checkpoints["second"])
    counted = engines.denoise

    def denoise(*arguments):
        answers = counted(*arguments)
        if "second" in memory.loaded:
            raise FULL
        return answers

    monkeypatch.setattr(engines, "denoise", denoise)
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(prompt="a cat", batch_size=2))
    studio.run()
    assert len(studio.of(Picture)) == 2 and memory.loaded == ("first",) and set(counts) == {4}


def test_rows_for_which_there_is_no_main_memory_are_not_tried(house, monkeypatch, counts) -> None:
    """The system would end the process. Idle networks leave first."""
    memory, checkpoints = house
    memory.get(checkpoints["second"])
    model, asked = memory.get(checkpoints["first"]), []
    one = rows_needed(model)
    monkeypatch.setattr(denoiser_memory, "free_bytes", lambda device: asked.append(memory.loaded) or int(2.5 * one))
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(prompt="a cat", batch_size=3, height=72))
    assert len(studio.run().of(Picture)) == 3 and set(counts) == {2}
    assert asked == [("second", "first"), ("first",)]


def rows_needed(model: Model) -> float:
    """Free bytes that hold one row of 64 x 72 pixels."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.denoiser.state_dict().items()}
    return CallEstimate.of(shapes).bytes((64, 72), model.dtype.itemsize) / denoiser_memory.SHARE


def test_idle_networks_leave_before_the_vae_works_in_tiles(house, monkeypatch) -> None:
    memory, checkpoints = house
    memory.get(checkpoints["second"])
    decoding = Model.decoding

    def short(self: Model, latent: torch.Tensor):
        if "second" in memory.loaded:
            raise FULL
        return decoding(self, latent)

    monkeypatch.setattr(Model, "decoding", short)
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(seed=31))
    assert not studio.run().of(Picture)[0].notes and not studio.of(Failed)


def test_a_checkpoint_that_draws_is_not_evicted_by_an_upscaler(house, tmp_path: Path) -> None:
    _, checkpoints = house
    memory = Memory(PLACE, budget_bytes=1)
    studio = Studio((memory, checkpoints))
    studio.add("mine", BASE.replace(steps=8))
    studio.step(), studio.step()
    file = ModelFile("upscaler", "x", str(upscalers.save(upscalers.compact(2), tmp_path / "x.pth")))
    memory.fetch("upscaler", "x", file.path, lambda: load_upscaler(file, PLACE))
    assert memory.loaded == ("first", "x")
    studio.add("another", BASE)
    studio.run()
    assert len([event for event in studio.of(Loading) if event.done]) == 1 and len(studio.of(Picture)) == 2
    memory.fetch("upscaler", "y", str(tmp_path / "y"), lambda: Block(device=CPU))
    assert memory.loaded == ("y",), "nothing is pinned once all is drawn"


# ---- moving ----

class Stubborn:
    """As much of a network as moving needs: parameters that say where they are. A card has no room for it at first."""

    def __init__(self, refusals: int = 0, parts: int = 1) -> None:
        self.places, self.refusals = [CPU] * parts, refusals

    def parameters(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(device=place) for place in self.places]

    def buffers(self) -> list[SimpleNamespace]:
        return []

    def to(self, device: torch.device) -> None:
        if device == CARD and self.refusals:
            self.refusals -= 1
            self.places[0] = device         # the first tensor was moved when memory ran out
            raise FULL
        self.places = [device] * len(self.places)


def test_a_move_that_runs_out_of_memory_takes_everything_back_and_can_be_made_later() -> None:
    networks = Stubborn(), Stubborn(refusals=1, parts=2), Stubborn()
    with pytest.raises(torch.OutOfMemoryError):
        move(networks, CARD)
    assert [network.places for network in networks] == [[CPU], [CPU, CPU], [CPU]]
    move(networks, CARD)
    assert [network.places for network in networks] == [[CARD], [CARD, CARD], [CARD]]


def test_a_move_repairs_what_an_earlier_one_left_behind() -> None:
    networks = Stubborn(), Stubborn(parts=2), Stubborn()
    networks[0].to(CARD)
    networks[1].places[0] = CARD
    move(networks, CARD)
    assert [network.places for network in networks] == [[CARD], [CARD, CARD], [CARD]]


def test_a_checkpoint_is_moved_as_a_whole(house, monkeypatch) -> None:
    """And looked through again only after it has been elsewhere, or on the way there."""
    model, moved = house[0].get(house[1]["first"]), []
    there = torch.device("cpu", 1)
    monkeypatch.setattr(model_base, "move", lambda networks, device: moved.append((networks, device)))
    model.to(there).to(there)
    assert moved == [(model.networks(), there)]
    monkeypatch.setattr(model_base, "move", lambda networks, device: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.to(CPU)
    monkeypatch.setattr(model_base, "move", lambda networks, device: moved.append((networks, device)))
    model.to(there)
    assert len(moved) == 2, "where it is after a move that failed is not known"
    model.to(CPU)


def test_its_bytes_are_counted_again_when_the_vae_goes_on_in_another_format(house, monkeypatch) -> None:
    model = house[0].get(house[1]["first"])
    before, vae = model.bytes, sum(tensor.nbytes for tensor in model_base.tensors(model.vae))
    monkeypatch.setattr(model_base, "tensors", lambda network: iter([next(network.parameters())]))
    assert model.bytes == before, "not counted at each look"
    monkeypatch.undo()
    model.vae.to(torch.float64)
    assert model.bytes == before + vae
    model.vae.to(torch.float32)


# ---- the hash ----

@pytest.fixture
def slow_hash(monkeypatch) -> threading.Event:
    """Hashes are computed once this is set."""
    ready = threading.Event()

    def sha256_of(path: str) -> str:
        assert ready.wait(60)
        return fingerprints.sha256_of(path)

    monkeypatch.setattr(background_hash, "sha256_of", sha256_of)
    return ready


def unhashed(house, tmp_path: Path) -> tuple[Memory, dict[str, ModelFile]]:
    _, checkpoints = house
    copied = shutil.copytree(checkpoints["first"].path, tmp_path / "checkpoints" / "first")
    return Memory(PLACE), {"first": replace(checkpoints["first"], path=str(copied), sha256="")}


def test_a_picture_is_drawn_while_the_hash_is_computed_and_carries_it(house, tmp_path: Path, slow_hash) -> None:
    studio = Studio(unhashed(house, tmp_path), "solo")
    studio.add("mine", BASE.replace(steps=3))
    while len(studio.of(Progress)) < 3:
        studio.step()
    assert not studio.of(Hashed)
    slow_hash.set()
    studio.run()
    expected = fingerprints.sha256_of(studio.checkpoints["first"].path)
    assert studio.of(Picture)[0].facts == {"Model hash": expected[:10]}
    deadline = time.monotonic() + 60
    while not studio.of(Hashed) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert studio.of(Hashed) == [Hashed("first", expected)]


def test_a_file_replaced_while_it_was_hashed_gives_no_wrong_hash(house, tmp_path: Path, slow_hash) -> None:
    memory, checkpoints = unhashed(house, tmp_path)
    model = memory.get(checkpoints["first"])
    with (Path(checkpoints["first"].path) / "unet" / "diffusion_pytorch_model.safetensors").open("ab") as file:
        file.write(b" ")
    slow_hash.set()
    assert model.sha256 == ""


def test_a_known_hash_is_not_computed_again(house, tmp_path: Path, slow_hash) -> None:
    memory, checkpoints = unhashed(house, tmp_path)
    model = memory.get(replace(checkpoints["first"], sha256="ab" * 32))
    assert model.sha256 == "ab" * 32 and model.background_hash is None
