"""Recorded calls on a stand-in for a card's graphs: replayed to the bit, whatever rows say, or not at all, and that told once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.messages import Picture
from backend.prompt.network_terms import Applied
from backend.worker.adapters.adapter import Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.device import place
from backend.worker.guidance.network_call import NetworkCall
from backend.worker.guidance.row import Row
from backend.worker.models import graph_replay
from backend.worker.models.graph_capture import GRAPHS, RepeatedCall
from backend.worker.models.graph_replay import PATIENCE, SEEN, Recordings
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from tests.tiny import controlnets, ip_adapters, t2i_adapters, toy_family
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_controlnet import opened as opened_controlnet
from tests.tiny.test_controlnet import row, use
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_ip_adapter import every
from tests.tiny.test_ip_adapter import opened as opened_ip_adapter
from tests.tiny.test_rows import row as toy_row
from tests.tiny.test_t2i_adapter import opened as opened_t2i_adapter
from tests.tiny.test_t2i_adapter import own_use

__all__ = ["house"]
EXACT = place("cpu", exact=True)


class Graph(RepeatedCall):
    """Counts."""

    recorded = replayed = 0

    def record(self, call: Callable[[], Tensor]) -> None:
        super().record(call)
        Graph.recorded += 1

    def replay(self) -> Tensor:
        Graph.replayed += 1
        return super().replay()


@dataclass
class Recorder:
    """Calls by recordings of their own, each compared with the network itself."""

    recordings: Recordings

    def __call__(self, *rows: Row) -> list[Tensor]:
        call = NetworkCall(rows)
        expected = call.run(call.inputs)
        call = NetworkCall(rows)
        answer = self.recordings.run(call)
        assert torch.equal(answer.view(torch.int32), expected.view(torch.int32))
        return list(answer)

    def warm(self, *rows: Row) -> None:
        """Until it is recorded, and its first replay compared."""
        for _ in range(graph_replay.SEEN + 1):
            self(*rows)

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Nothing is recorded, something is replayed, and that is right."""
        recorded, replayed = Graph.recorded, Graph.replayed
        yield
        assert Graph.recorded == recorded and Graph.replayed > replayed and not self.recordings._refused


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    torch.set_num_threads(1)
    return Memory(EXACT)


@pytest.fixture(scope="module")
def model(memory: Memory, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    save_folder(tiny(), folder / "checkpoints" / "first")
    return memory.get(ModelCatalog((folder,)).find("checkpoint", "first"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return toy_family.loaded(tmp_path_factory.mktemp("toy"), EXACT)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(graph_replay, "SEEN", 1)
    Graph.recorded = Graph.replayed = 0
    return Recorder(Recordings(ResultCache(lambda coming: 1 << 30), Graph))


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NetworkFile]:
    folder, found = tmp_path_factory.mktemp("loras"), {}
    for seed, (name, rank) in enumerate({"four": 4, "three": 3, "eight": 8}.items()):
        content = tensors(model.denoiser, "lora_unet_", attention(model.denoiser), lora(rank), seed)
        found[name] = read_network(ModelFile("lora", name, str(save(folder / f"{name}.safetensors", content))), EXACT)
    return found


def styled(model: Model, files: dict[str, NetworkFile], memory: Memory, seed: int, *loras: tuple[str, float]) -> Row:
    named = {("lora", name): files[name] for name, _ in loras}
    changes = PromptNetworks(model, named, memory).unet([Applied("lora", name, 1.0, weight) for name, weight in loras])
    return row(model, seed, uses=changes.uses, branches=changes.branches)


def test_another_picture_prompt_and_noise_level_replay_the_same_graph(model: Model, recorder: Recorder) -> None:
    one = row(model, 1)
    recorder.warm(one, row(model, 2))
    assert Graph.recorded == 1 and Graph.replayed == 1
    with recorder.replaying():
        recorder(replace(one, sigma=0.3), row(model, 3))
        recorder(row(model, 5), replace(one, x=one.x * 2))
    assert Graph.replayed == 3


def test_recorded_after_a_few_calls_of_its_own_kind_and_count(
    toy: Model, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_replay, "SEEN", SEEN)
    for _ in range(SEEN - 1):
        recorder(toy_row(toy, 1))
        recorder(toy_row(toy, 1), toy_row(toy, 2))
        recorder(toy_row(toy, 1, tiling=True))
    assert not Graph.recorded
    recorder(toy_row(toy, 1, tiling=True))
    assert Graph.recorded == 1


def test_one_that_there_is_no_room_to_keep_is_recorded_anew_after_many_calls_only(
    toy: Model, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_replay, "AGAIN", 5)
    recorder = Recorder(Recordings(ResultCache(lambda coming: 0), Graph))
    for _ in range(5):
        recorder(toy_row(toy, 1))
    assert (Graph.recorded, Graph.replayed) == (1, 0)
    recorder(toy_row(toy, 1))
    assert Graph.recorded == 2


def test_another_weight_and_another_network_of_the_same_rank_replay_the_same_graph(
    model: Model, memory: Memory, files: dict[str, NetworkFile], recorder: Recorder
) -> None:
    recorder.warm(styled(model, files, memory, 1, ("four", 0.8)), row(model, 2))
    with recorder.replaying():
        for weight in (0.3, -1.0, 0.8):
            recorder(styled(model, files, memory, 1, ("four", weight)), row(model, 2))
        recorder(styled(model, files, memory, 1, ("three", 0.5)), row(model, 2))
        recorder(row(model, 1), styled(model, files, memory, 2, ("three", 0.5)))
    recorder.warm(styled(model, files, memory, 1, ("eight", 0.8)), row(model, 2))
    assert Graph.recorded == 2, "another rank is another kind"


def test_a_mixed_pack(model: Model, memory: Memory, files: dict[str, NetworkFile], recorder: Recorder) -> None:
    def pack(weight: float, seed: int) -> list[Row]:
        both = (("four", weight), ("eight", 0.4))
        return [row(model, seed), styled(model, files, memory, seed, ("eight", weight)), row(model, 2),
                styled(model, files, memory, seed, *both)]

    recorder.warm(*pack(0.7, 1))
    with recorder.replaying():
        recorder(*pack(0.2, 4))


def test_kept_words_are_inputs_and_the_call_that_makes_them_is_not_recorded(model: Model, recorder: Recorder) -> None:
    model.kept_words = ResultCache(lambda coming: 1 << 30)
    try:
        recorder.warm(row(model, 1))
        with recorder.replaying():
            for seed in (2, 2, 1, 3, 3):
                recorder(row(model, seed))
    finally:
        model.kept_words = None


@pytest.fixture(scope="module")
def guides(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[float, int], Use]]:
    """By name, a use of a strength and a seed."""
    folder = tmp_path_factory.mktemp("guides")
    controlnets.controlnet(model.denoiser).save_pretrained(folder / "controlnet" / "x")
    net = opened_controlnet(folder, model)
    picture = opened_ip_adapter(folder, "x.bin", model, ip_adapters.ip_adapter(model.denoiser, "plain"))
    (folder / "t2i_adapter").mkdir()
    t2i = opened_t2i_adapter(folder, t2i_adapters.adapter("full_adapter", (32, 64), False).state_dict(), model)
    width = picture.pairs[0].key.shape[1]

    def seen(strength: float, seed: int) -> Use:
        tokens = torch.randn(4, width, generator=torch.Generator().manual_seed(seed))
        return Use(picture, strength, (tokens, every(model), torch.rand(8, 12)))

    return {"controlnet": lambda strength, seed: use(net, strength, seed), "picture": seen,
            "t2i": lambda strength, seed: own_use(t2i, strength, seed)}


@pytest.mark.parametrize("name", ["controlnet", "picture", "t2i"])
def test_guides_of_other_strengths_and_hints_replay_the_same_graph(
    model: Model, guides: dict[str, Callable[[float, int], Use]], recorder: Recorder, name: str
) -> None:
    guide = guides[name]
    plain = row(model, 2)
    recorder.warm(row(model, 1, uses=(guide(0.8, 1),)), plain)
    with recorder.replaying():
        recorder(row(model, 1, uses=(guide(0.3, 2),)), plain)
        recorder(plain, row(model, 4, uses=(guide(0.5, 1),)))


@dataclass(eq=False)
class Shift(Recordable):
    """Moves what the network gives by a strength. `frozen`: it reads that as a number, and not in its inputs."""

    frozen: bool

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Attachment:
        given = torch.tensor([use.strength for use in uses])

        @contextmanager
        def attached(tensors: Sequence[Tensor]) -> Iterator[None]:
            def moved(module: torch.nn.Module, _: object, found: Tensor) -> Tensor:
                return found + (uses[0].strength if self.frozen else tensors[0].view(-1, 1, 1, 1))

            handle = model.denoiser.register_forward_hook(moved)
            try:
                yield
            finally:
                handle.remove()

        return Attachment([given], attached, (id(self), layout([given])))


class Fresh(Shift):
    """Reads a tensor of its own."""

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Attachment:
        found = super().attachment(model, rows, uses)
        return replace(found, attach=lambda tensors: found.attach([torch.tensor([use.strength for use in uses])]))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == graph_replay.__name__]


def test_a_number_that_a_recording_has_frozen_in_is_found_at_its_first_change(
    toy: Model, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = Shift(frozen=False), Shift(frozen=True)
    recorder.warm(toy_row(toy, uses=(Use(good, 0.5),)))
    with recorder.replaying():
        recorder(toy_row(toy, uses=(Use(good, -0.5),)))
    recorder.warm(toy_row(toy, uses=(Use(bad, 0.5),)))
    assert not told(caplog)
    for strength in (0.25, 0.75, 0.1):
        recorder(toy_row(toy, uses=(Use(bad, strength),)))
    assert len(told(caplog)) == 1 and "is not what the network gives" in told(caplog)[0]


def test_a_tensor_that_is_no_input_is_found_before_anything_is_recorded(
    toy: Model, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.warm(toy_row(toy, uses=(Use(Fresh(False), 0.5),)))
    assert not Graph.recorded and len(told(caplog)) == 1 and "reads what is no input of it" in told(caplog)[0]


@pytest.mark.parametrize("when", ["record", "replay"])
@pytest.mark.parametrize("error", [RuntimeError("operation not permitted when stream is capturing"),
                                   torch.OutOfMemoryError("CUDA out of memory")])
def test_where_it_cannot_be_recorded_or_replayed_calls_are_made_as_ever_and_that_is_told_once(
    toy: Model, recorder: Recorder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, when: str,
    error: RuntimeError,
) -> None:
    def fails(*given: object) -> None:
        raise error

    monkeypatch.setattr(Graph, when, fails)
    for _ in range(2):
        recorder.warm(toy_row(toy, 1))
    assert len(told(caplog)) == 1 and str(error) in told(caplog)[0] and caplog.records[-1].levelno == logging.WARNING
    monkeypatch.undo()
    recorder.warm(toy_row(toy, 1))
    assert not Graph.replayed, "that shape stays as it is"
    recorder.warm(toy_row(toy, 1), toy_row(toy, 2))
    assert Graph.replayed, "others do not"


def test_the_largest_count_is_recorded_first(
    toy: Model, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_replay, "SEEN", SEEN)
    four, two = [toy_row(toy, seed) for seed in range(4)], [toy_row(toy, 1), toy_row(toy, 2)]
    recorder(*four)
    for _ in range(SEEN):
        recorder(*two)
    assert not Graph.recorded
    for _ in range(SEEN - 1):
        recorder(*four)
    assert Graph.recorded == 1
    recorder(*two)
    assert Graph.recorded == 2
    for count in (8, 1):
        recorder(*[toy_row(toy, 1)] * count)
    for _ in range(PATIENCE - 1):
        recorder(toy_row(toy, 1))
    assert Graph.recorded == 3, "one that does not come back is not waited for"


def test_recordings_leave_with_the_weights_that_they_read_and_when_memory_is_short(tmp_path: Path) -> None:
    save_folder(tiny(), tmp_path / "checkpoints" / "first")
    memory, file = Memory(EXACT), ModelCatalog((tmp_path,)).find("checkpoint", "first")
    model, cache = memory.get(file), memory.cache(1 << 30)
    memory.recordings = model.recordings = Recordings(cache, Graph)
    recorder = Recorder(memory.recordings)
    recorder.warm(row(model, 1))
    taken = cache.bytes
    assert taken > 0 and memory._taken("cpu") >= model.bytes + taken, "they count"
    memory.drop(file.key)
    assert not cache.bytes
    again = memory.get(file)
    again.recordings = memory.recordings
    recorder.warm(row(again, 1))
    assert cache.bytes == taken
    user = Studio
    memory.pin(again, user)
    assert memory.free_idle() and not cache.bytes
    recorder.warm(row(again, 1))
    assert cache.bytes == taken


def test_an_engine_draws_the_same_pictures(house: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> list[bytes]:
        studio = Studio((Memory(EXACT), house[1]))
        for seed in range(2):
            studio.add(f"job {seed}", BASE.replace(prompt="a cat", seed=seed, steps=7))
        return [each.pixels for each in sorted(studio.run().of(Picture), key=lambda each: each.job)]

    expected = drawn()
    monkeypatch.setattr("backend.worker.models.graph_capture.RepeatedCall", Graph)
    Graph.replayed = 0
    monkeypatch.setenv(GRAPHS, "check")
    assert drawn() == expected and Graph.replayed >= 3
