"""A data folder that an earlier Easel has left behind opens with everything in it, and its waiting jobs still run."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from backend.store.search import Query
from tests.guest import Guest
from tests.tiny.house import open_house

FOLDER = Path(__file__).resolve().parent.parent / "data_before"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
OWNERS = list(EXPECTED)        # "local" is the local user, the others are names of accounts
RUNS_AGAIN = {"running": "queued"}      # what became of a job's state when the front was killed


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    with zipfile.ZipFile(FOLDER / "data.zip") as before:
        before.extractall(tmp_path / "data")
    house = open_house(tmp_path, start_workers=False)
    yield house
    house.close()


def as_(house: Guest, owner: str) -> Guest:
    return house if owner == "local" else Guest(house, owner)


@pytest.mark.parametrize("owner", OWNERS)
def test_jobs_read_unchanged(house: Guest, owner: str) -> None:
    jobs = {job.id: job for job in as_(house, owner).jobs(100)}
    expected = EXPECTED[owner]["jobs"]
    assert list(jobs) == [job["id"] for job in expected]
    for before in expected:
        job = jobs[before["id"]]
        assert job.state == RUNS_AGAIN.get(before["state"], before["state"])
        assert json.loads(json.dumps(job.request.to_json())).items() >= before["request"].items()
        assert job.created.isoformat() == before["created"] and list(job.notes) == before["notes"]
        assert [asdict(problem) for problem in job.problems] == before["problems"]
        assert [image.id for image in job.images] == before["images"]


@pytest.mark.parametrize("owner", OWNERS)
def test_the_history_reads_unchanged(house: Guest, owner: str) -> None:
    expected = EXPECTED[owner]
    theirs = as_(house, owner)
    found, total = theirs.gallery.search(Query(), 500)
    assert total == len(expected["images"]) == len(found)
    for entry, before in zip(found, expected["images"], strict=True):
        image = entry.image
        for name in ("id", "index", "job", "infotext", "name", "format", "seed", "starred", "model", "sampler"):
            assert getattr(image, name) == before[name], name
        assert image.created.isoformat() == before["created"] and not entry.missing
        assert theirs.image_file(image.id) == house.settings.outputs / before["path"]
    for what, query in (("bin", Query(binned=True)), ("words", Query(words="teapot"))):
        assert [entry.image.id for entry in theirs.gallery.search(query, 500)[0]] == expected[what], what


@pytest.mark.parametrize("owner", OWNERS)
def test_settings_styles_and_prompts_read_unchanged(house: Guest, owner: str) -> None:
    expected, theirs = EXPECTED[owner], as_(house, owner)
    assert theirs.preferences() == expected["preferences"]
    assert [asdict(style) for style in theirs.prompt_library.styles()] == expected["styles"]
    assert [[used.prompt, used.negative_prompt] for used in theirs.prompt_library.used()] == expected["used"]


def test_waiting_jobs_still_run_with_the_pictures_that_they_start_from(house: Guest) -> None:
    house.start_workers()
    for owner, expected in EXPECTED.items():
        for before in expected["jobs"]:
            if before["state"] not in ("queued", "running"):
                continue
            job = as_(house, owner).wait(before["id"])
            assert job.state == "done" and len(job.images) == job.request.count
            assert [image.id for image in job.images][:len(before["images"])] == before["images"]
    assert any(job.request.init_image and job.request.mask for job in house.jobs())


def test_what_it_holds() -> None:
    """The folder is worth opening: every state, a star, a full bin, a picture of another program, several people."""
    jobs = [job for expected in EXPECTED.values() for job in expected["jobs"]]
    assert {job["state"] for job in jobs} == {"queued", "running", "done", "failed", "cancelled"}
    images = [image for expected in EXPECTED.values() for image in expected["images"]]
    assert {image["format"] for image in images} == {"png", "jpg", "webp"} and any(image["starred"] for image in images)
    assert any(image["path"].startswith("imported/") for image in images) and EXPECTED["local"]["bin"]
    assert all(expected["preferences"] or expected["images"] for expected in EXPECTED.values()) and len(OWNERS) == 3
