"""A cancel reaches what is prepared in the middle of it: nothing half made is kept, and the next job draws as ever."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules import module as torch_modules

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.request_files import files_of, resolved
from backend.errors import WorkCancelled
from backend.messages import Cancel, Cancelled, Failed, Loading, Picture, Preprocess, Run, Skipped
from backend.request.request import Request
from backend.worker import process
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.engine.program import Program
from backend.worker.models.cancellation import Cancellations, heed
from backend.worker.models.memory import Memory
from backend.worker.models.onnx_session import read_session
from tests.tiny import controlnets, face_networks, ip_adapters, upscalers
from tests.tiny import test_detailer as detailers
from tests.tiny import test_trained_preprocessors as annotators
from tests.tiny.endless_network import endless
from tests.tiny.face_networks import face_picture
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_guides import FILES, PICTURE, png, unit

FACE = "3" * 64
PICTURES = FILES | {FACE: png(face_picture((3, 4), inside=[(0, 0, 255)]))}
PATIENCE = 120.0
UNITS = ({"module": "softedge_teed", "model": "x", "processor_res": 64}, {"module": "dw_openpose_full", "model": "x", "processor_res": 64},
         {"module": "ip-adapter-auto", "model": "plus"}, {"module": "ip-adapter-auto", "model": "ip-adapter-faceid", "image": FACE})
ASKED = {
    "prompt": "a cat", "checkpoint": "first", "steps": 1, "width": 64, "height": 64, "seed": 1, "variation_seed": 1, "sampler": "Euler", "schedule": "Uniform",
    "guides": [{"enabled": True, "image": PICTURE, "hires": "Low res only"} | each for each in UNITS],
    "detailers": [detailers.UNIT | {"model": "things", "sam": True}],
    "enable_hr": True, "hr_scale": 1.25, "hr_upscaler": "enlarger", "denoising_strength": 0.6}
KINDS = ("checkpoint", "LoadGuide", "Annotate", "ShowPicture", "EncodeText", "Enlarge", "EncodePicture", "FindObjects")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> ModelCatalog:
    torch.set_num_threads(1)
    folder, networks = tmp_path_factory.mktemp("models"), tiny()
    save_folder(networks, folder / "checkpoints" / "first")
    controlnets.controlnet(networks.unet).save_pretrained(folder / "controlnet" / "x")
    ip_adapters.tower().save_pretrained(folder / "clip_vision" / "h")
    for name in ("annotators", "ip_adapter", "adetailer"):
        (folder / name).mkdir()
    for name in ("plus", "ip-adapter-faceid"):
        save_file(ip_adapters.flat(ip_adapters.ip_adapter(networks.unet, name)), folder / "ip_adapter" / f"{name}.safetensors")
    annotators.teed(folder / "annotators"), annotators.pose(folder / "annotators")
    face_networks.save(folder, "buffalo_l")
    onnx.save(detailers.detector(), folder / "adetailer" / "things.onnx")
    detailers.sam().save_pretrained(folder / "sams" / "tiny")
    upscalers.save(upscalers.compact(scale=2), folder / "ESRGAN" / "enlarger.pth")
    return ModelCatalog((folder,))


class Counted(Cancellations):
    """Counts the points of each kind of work, and asks to leave the job at one of them."""

    def __init__(self, kind: str = "", at: int = 0) -> None:
        self.points: Counter[str] = Counter()
        self.kind, self.at, self.doing, self.due = kind, at, "", False
        super().__init__()

    @property
    def is_due(self) -> bool:
        self.points[self.doing] += 1
        if self.at and (self.doing, self.points[self.doing]) == (self.kind, self.at):
            self.ask("mine")
        return self.due

    @is_due.setter
    def is_due(self, due: bool) -> None:
        self.due = due


def drawn(catalog: ModelCatalog, memory: Memory, cancellations: Counted, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events of the job "mine", in which all that can be prepared is."""
    events: list[Any] = []
    engine = Engine(memory, "solo", events.append, cancellations=cancellations)
    original, loaded = engine._prepared, engine.models.load

    def prepared(program: Any, work: Any) -> Any:
        cancellations.doing = type(work).__name__
        return original(program, work)

    def load(*asked: Any) -> Any:
        cancellations.doing = "checkpoint"
        return loaded(*asked)

    answer = engine.pixel_networks.answer

    def enlarged(run: Any, work: Any, user: Any) -> Any:
        cancellations.doing = type(work).__name__
        return answer(run, work, user)

    monkeypatch.setattr(engine, "_prepared", prepared)
    monkeypatch.setattr(engine.models, "load", load)
    monkeypatch.setattr(engine.pixel_networks, "answer", enlarged)
    request = resolved(Request.parse(ASKED), catalog)
    with torch.inference_mode():
        engine.add(Run("mine", "local", request, (0,), files_of(request, catalog), PICTURES))
        while engine.step():
            pass
    return events


def test_a_job_is_left_in_the_middle_of_whatever_is_prepared(catalog: ModelCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one worker again and again, each time a little further on: the job is over at once, and costs nothing but itself."""
    counted, memory = Counted(), Memory(place("cpu", exact=True))
    (whole,) = (event.pixels for event in drawn(catalog, Memory(place("cpu", exact=True)), counted, monkeypatch) if isinstance(event, Picture))
    for kind in KINDS:
        assert counted.points[kind] > 2, "there are points in the middle of it"
        events = drawn(catalog, memory, Counted(kind, at=1 + counted.points[kind] // 4), monkeypatch)
        assert not [event for event in events if isinstance(event, Failed | Skipped)], kind
        assert type(events[-1]) is Cancelled, kind
        assert not torch_modules._has_any_global_hook() and not torch_modules._global_parameter_registration_hooks
        gc.collect()
        assert not any(isinstance(user, Program) for user in memory._pins), "nothing is held for a job that is over"
        loading = [event.done for event in events if isinstance(event, Loading)]
        assert loading == [False, True] * (len(loading) // 2), "nobody is told that it still loads"
    (again,) = (event.pixels for event in drawn(catalog, memory, Counted(), monkeypatch) if isinstance(event, Picture))
    assert again == whole, "nothing half made was kept, nothing stayed attached"


def left(call: Callable[[], object]) -> bool:
    try:
        call()
    except WorkCancelled:
        return True
    return False


def test_it_is_left_when_nobody_waits_and_only_where_that_is_looked_at() -> None:
    cancellations, network, shown = Cancellations(), nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2)
    cancellations.ask("one")
    assert not left(heed) and not left(lambda: network(shown)), "denoising is outside"
    with cancellations.heeded(["one", "two"]):
        assert not left(heed), "somebody else waits"
        cancellations.ask("two")
        assert left(heed) and left(lambda: network(shown)) and left(lambda: nn.Linear(2, 2))
        elsewhere: list[bool] = []
        thread = threading.Thread(target=lambda: elsewhere.append(left(lambda: network(shown))))
        thread.start(), thread.join()
        assert elsewhere == [False], "another thread works for somebody else"
        with cancellations.heeded(["three"]):
            assert not left(heed)
        assert left(heed)
        cancellations.obeyed("one")
        assert not left(heed)
    assert not left(lambda: network(shown)) and not torch_modules._has_any_global_hook()
    with cancellations.heeded([]):
        assert not left(heed), "work for nobody is work for all"


def test_what_a_library_catches_on_the_way_is_a_cancel_all_the_same() -> None:
    cancellations, memory, network = Cancellations(), Memory(place("cpu", exact=True)), nn.Linear(2, 2)

    def half() -> np.ndarray:
        cancellations.ask("one")
        assert left(lambda: nn.Linear(2, 2))
        return np.zeros(2)

    def wrapped() -> None:
        cancellations.ask("one")
        network.load_state_dict(network.state_dict(), assign=True)      # says that the tensors do not fit

    with cancellations.heeded(["one"]):
        for call in (half, wrapped):
            cancellations.obeyed("one")
            with pytest.raises(WorkCancelled):
                memory.hints.get("hint", lambda call=call: memory.attempt(call))
    assert memory.hints.find("hint") is None


def test_a_call_of_onnxruntime_ends(tmp_path: Path) -> None:
    endless(tmp_path / "endless.onnx", (1, 3, 8, 8), {"found": (1, 2)})
    cancellations, session = Cancellations(), read_session(tmp_path / "endless.onnx", "nothing")

    def ask() -> None:
        begun.wait(PATIENCE)
        cancellations.ask("one")

    begun, original = threading.Event(), cancellations.ending
    cancellations.ending = lambda call: begun.set() or original(call)       # type: ignore[method-assign]
    asking = threading.Thread(target=ask)
    asking.start()
    with cancellations.heeded(["one"]):
        assert left(lambda: session.run(None, {"picture": np.ones((1, 3, 8, 8), np.float32)}))
    asking.join()
    assert not cancellations._calls


def test_a_cancel_is_heard_before_it_is_its_turn() -> None:
    said, commands, cancellations = SimpleQueue[Any](), SimpleQueue[Any](), Cancellations()
    threading.Thread(target=process._read, args=(SimpleNamespace(recv=said.get), commands, cancellations), daemon=True).start()
    said.put(Cancel("look"))
    command = commands.get(timeout=PATIENCE)
    events: list[Any] = []
    engine = Engine(Memory(place("cpu", exact=True)), "solo", events.append, cancellations=cancellations)
    asked = Preprocess("look", unit(module="softedge_teed"), FILES[PICTURE], (64, 96))
    process._obey(engine, None, asked)          # type: ignore[arg-type]
    process._obey(engine, None, command)        # type: ignore[arg-type]
    with cancellations.heeded(["look"]):
        assert not left(heed), "the same name may be asked again"
    assert events[0].problem.message == "It was cancelled."
