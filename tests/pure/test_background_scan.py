"""The page comes up and works while the models folders are still being looked through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ui
from backend import Backend, Settings
from backend.catalog import background_scan
from backend.catalog.background_scan import FAILED, READING, KnownFiles
from backend.catalog.description import Description
from backend.catalog.file_index import Shelf
from backend.catalog.folder_scan import Found
from backend.catalog.kinds import KINDS, Kind
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.request_files import defaults_here
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
    monkeypatch.setattr(background_scan, "PATIENCE", 0.02)
    monkeypatch.setattr(background_scan, "PAUSE", 0.0)
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
    monkeypatch.setattr(background_scan, "PATIENCE", 10.0)
    slow.read.set()
    said: list[bool] = []
    known = KnownFiles(slow.catalog, said.append)
    assert [file.key for file in known.listed("checkpoint")] == ["demo", "slow"] and True not in said


def test_who_draws_waits_for_the_file_that_he_names(slow: Slow) -> None:
    KnownFiles(slow.catalog).listed("checkpoint")
    threading.Timer(0.1, slow.read.set).start()
    assert slow.catalog.find("checkpoint", "slow").key == "slow"


class Odd:
    """Folders with an upscaler, and another whose description ends in an error that nobody foresees until `mended` is set."""

    def __init__(self, folder: Path) -> None:
        self.mended = threading.Event()
        for name in ("good", "odd"):
            write(folder / KINDS["upscaler"].folders[0] / f"{name}.safetensors", SD1)
        kinds = {**KINDS, "upscaler": replace(KINDS["upscaler"], describe=self.describe)}
        self.catalog = ModelCatalog((folder,), kinds=kinds)

    def describe(self, found: Found) -> Description:
        if found.name.startswith("odd") and not self.mended.is_set():
            raise ZeroDivisionError("something odd")
        return Description("sd1")


def test_a_file_that_breaks_its_reader_costs_nothing_but_itself(tmp_path: Path) -> None:
    odd = Odd(tmp_path)
    known = KnownFiles(odd.catalog)
    files = until(lambda: known.is_read("upscaler") and known.listed("upscaler"))
    assert [(file.key, bool(file.problem)) for file in files] == [("good", False), ("odd", True)]
    assert [file.key for file in known.usable("upscaler")] == ["good"]


def test_a_look_that_ends_in_an_error_is_told_costs_its_kind_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, said = Odd(tmp_path), []
    write_folder(tmp_path / "demo", "StableDiffusionPipeline")
    scan = ModelCatalog._scan

    def broken(self: ModelCatalog, kind: Kind) -> Shelf:
        if kind.name == "upscaler" and not odd.mended.is_set():
            raise ZeroDivisionError("something odd")
        return scan(self, kind)

    monkeypatch.setattr(ModelCatalog, "_scan", broken)
    known = KnownFiles(odd.catalog, failed=said.append)
    assert known.listed("upscaler") == () and until(lambda: FAILED in said)
    assert known.usable("upscaler") == ()
    assert until(lambda: [file.key for file in known.listed("checkpoint")]) == ["demo"]
    monkeypatch.setattr(background_scan, "RETRY_SECONDS", 0.0)
    odd.mended.set()
    assert until(lambda: [file.key for file in known.usable("upscaler")]) == ["good", "odd"]
    assert until(lambda: said[-1] == "") and not known.is_reading


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
