"""The page comes up and works while the models folders are still being looked through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ui
from backend import Backend, Settings
from backend.catalog import known_files
from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.kinds import KINDS
from backend.catalog.known_files import READING, KnownFiles
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.needed_files import defaults_here
from backend.errors import NotFound
from tests.pure.test_catalog import SD1, write, write_folder
from tests.tiny.house import until


class Slow:
    """Folders with the demo and, in each of these kinds, a file whose description comes only when `read` is set."""

    def __init__(self, folder: Path) -> None:
        self.read, self.told = threading.Event(), threading.Event()
        write_folder(folder / "demo", "StableDiffusionPipeline")
        (folder / "demo" / "easel.json").write_text('{"vae": "slow"}')
        for kind in KINDS.values():
            if kind.endings:
                write(folder / kind.folders[0] / f"slow{kind.endings[0]}", SD1)
        kinds = {name: replace(kind, describe=self.describer(name)) for name, kind in KINDS.items()}
        self.catalog = ModelCatalog((folder,), kinds=kinds)

    def describer(self, kind: str) -> Callable[[Found], Description | None]:
        def describe(found: Found) -> Description | None:
            if not found.is_folder:
                assert self.read.wait(60)
                return Description("sd1", facts={"restores": "GFPGAN"})
            return KINDS[kind].describe(found)
        return describe


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(known_files, "PATIENCE", 0.02)
    monkeypatch.setattr(known_files, "PAUSE", 0.0)
    made = Slow(tmp_path / "models")
    yield made
    made.read.set()


def test_the_demo_is_known_before_the_folders_were_looked_through_and_the_rest_comes(slow: Slow) -> None:
    said: list[bool] = []
    known = KnownFiles(slow.catalog, lambda is_reading: (said.append(is_reading), slow.told.set()))
    assert until(lambda: [file.key for file in known.listed("checkpoint")]) == ["demo"] == [known.find("checkpoint").key]
    assert known.usable("upscaler") == () and known.is_reading
    assert "vae" not in defaults_here(known.find("checkpoint", "demo"), known)
    with pytest.raises(NotFound, match="still being looked through"):
        known.find("checkpoint", "slow")
    assert slow.told.wait(10) and said == [True]
    slow.told.clear()
    slow.read.set()
    assert slow.told.wait(10) and said == [True, False] and not known.is_reading
    assert [file.key for file in known.listed("checkpoint")] == ["demo", "slow"] and known.find("checkpoint").key == "slow"
    assert [file.key for file in known.usable("upscaler")] == ["slow"]
    assert defaults_here(known.find("checkpoint", "demo"), known)["vae"] == "slow"


def test_what_is_quickly_read_is_there_at_once_and_nothing_is_told(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_files, "PATIENCE", 10.0)
    slow.read.set()
    said: list[bool] = []
    known = KnownFiles(slow.catalog, said.append)
    assert [file.key for file in known.listed("checkpoint")] == ["demo", "slow"] and True not in said


def test_who_draws_waits_for_the_file_that_he_names(slow: Slow) -> None:
    KnownFiles(slow.catalog).listed("checkpoint")
    threading.Timer(0.1, slow.read.set).start()
    assert slow.catalog.find("checkpoint", "slow").key == "slow"


@pytest.mark.slow
def test_the_page_is_built_without_waiting_for_a_file(slow: Slow, tmp_path: Path) -> None:
    backend = Backend(Settings(data=tmp_path / "data"), catalog=slow.catalog, start_workers=False)
    building = threading.Thread(target=ui.build, args=(backend,), daemon=True)
    building.start()
    building.join(30)
    assert not building.is_alive() and not slow.read.is_set()
    assert READING in backend.status().notices
    slow.read.set()
    backend.close()
