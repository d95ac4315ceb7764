"""What no device can draw is refused before it is queued."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend.catalog import call_estimate
from backend.catalog.fingerprints import Fingerprint
from backend.catalog.model_file import ModelFile
from backend.dispatch.feasibility import check
from backend.errors import InvalidRequest
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.settings import HOME
from backend.store.view_types import Worker

(DEMO,) = (ModelFile("checkpoint", "demo", str(path), family="sd1") for path in (HOME / "models").iterdir() if path.name.startswith("demo"))
SMALL = Worker(name="cpu", state="ready", device="CPU", dtype="float32", memory=2**30, speed=1e10)
HUGE = Request(width=8192, height=8192)


def test_a_picture_for_which_there_is_no_memory_names_its_width():
    with pytest.raises(InvalidRequest, match="8,192 x 8,192 pixels need about .* GiB") as error:
        check(HUGE, DEMO, [SMALL])
    assert [problem.field for problem in error.value.problems] == ["width"]


def test_what_fits_one_device_of_several_or_is_not_known_is_queued():
    check(Request(width=512, height=512), DEMO, [SMALL])
    check(HUGE, DEMO, [SMALL, replace(SMALL, memory=2**50, speed=1e30)])
    check(HUGE, DEMO, [replace(SMALL, memory=0, speed=0.0)])
    check(HUGE, replace(DEMO, path="/nowhere"), [SMALL])
    check(HUGE.replace(process=EXTRAS), DEMO, [SMALL])


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    monkeypatch.setattr(call_estimate, "read_shapes", lambda path: read.append(path) or {})
    file = tmp_path / "model.safetensors"
    checkpoint = replace(DEMO, path=str(file), fingerprint=Fingerprint(1, 1))
    for _ in range(3):
        check(HUGE, checkpoint, [SMALL])
    assert len(read) == 1
    check(HUGE, replace(checkpoint, fingerprint=Fingerprint(1, 2)), [SMALL])
    assert len(read) == 2
