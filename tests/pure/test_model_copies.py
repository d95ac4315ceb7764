"""Model files on a machine of a cluster that does not share the front's folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from backend.catalog.fingerprints import fingerprint
from backend.catalog.model_file import CHECKPOINT, FACE_NETWORK, LORA, ModelFile
from backend.cluster import model_copies
from backend.cluster.model_copies import ModelCopies
from backend.cluster.model_source import ModelSource
from backend.errors import NotFound
from backend.messages import Run, Unload
from backend.request.request import Request


class Away:
    """The front's machine, whose folder lies elsewhere here; counts what was read."""

    def __init__(self, folder: Path) -> None:
        self.source, self.folder, self.read_bytes = ModelSource([str(folder)]), folder, 0

    def here(self, path: str) -> str:
        return path.replace("/elsewhere", str(self.folder))

    def files(self, path: str) -> list[tuple[str, int, int]]:
        return self.source.files(self.here(path))

    def read(self, path: str, offset: int, length: int) -> bytes:
        piece = self.source.read(self.here(path), offset, length)
        self.read_bytes += len(piece)
        return piece


@pytest.fixture
def away(tmp_path: Path) -> Away:
    folder = tmp_path / "models"
    (folder / "unet").mkdir(parents=True)
    (folder / "anime.safetensors").write_bytes(os.urandom(5000))
    (folder / "anime.yaml").write_text("v: 1")
    (folder / "other.safetensors").write_bytes(b"other")
    (folder / "unet" / "weights.safetensors").write_bytes(b"unet")
    (folder / "config.json").write_text("{}")
    return Away(folder)


@pytest.fixture
def copies(tmp_path: Path, away: Away, told: list[tuple[str, bool]]) -> ModelCopies:
    return ModelCopies(tmp_path / "copies", away, lambda name, done: told.append((name, done)), limit=12_000)


@pytest.fixture
def told() -> list[tuple[str, bool]]:
    return []


def anime(away: Away, **facts: str) -> ModelFile:
    found = fingerprint(away.folder / "anime.safetensors")
    return ModelFile(CHECKPOINT, "anime", "/elsewhere/anime.safetensors", fingerprint=found, **facts)


def test_a_file_is_copied_once_with_what_describes_it(away: Away, copies: ModelCopies, told: list[tuple[str, bool]]) -> None:
    first, again = copies.here(anime(away)), copies.here(anime(away))
    assert first == again and told == [("anime", False), ("anime", True)]
    assert away.read_bytes == 5004, "the config beside it came too, and nothing else"
    assert Path(first.path).read_bytes() == (away.folder / "anime.safetensors").read_bytes()
    assert Path(first.path).with_suffix(".yaml").read_text() == "v: 1"
    assert first.fingerprint == fingerprint(first.path) and first.fingerprint[:2] == anime(away).fingerprint[:2]


def test_what_peft_keeps_beside_a_network_comes_with_it_and_makes_it_another_copy(away: Away, copies: ModelCopies) -> None:
    weights, settings = away.folder / "adapter_model.safetensors", away.folder / "adapter_config.json"
    weights.write_bytes(b"weights")
    settings.write_text('{"lora_alpha": 4}')

    def here() -> Path:
        found = fingerprint(weights)
        return Path(copies.here(ModelFile(LORA, "style", "/elsewhere/adapter_model.safetensors", sha256="12ab", fingerprint=found)).path)

    first = here()
    assert first.with_name("adapter_config.json").read_text() == '{"lora_alpha": 4}' and here() == first
    settings.write_text('{"lora_alpha": 32}')
    assert here().with_name("adapter_config.json").read_text() == '{"lora_alpha": 32}'


def test_pieces_make_the_whole(away: Away, copies: ModelCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_copies, "PIECE", 999)
    assert Path(copies.here(anime(away)).path).read_bytes() == (away.folder / "anime.safetensors").read_bytes()


def test_a_replaced_file_is_another_copy(away: Away, copies: ModelCopies) -> None:
    before = copies.here(anime(away))
    (away.folder / "anime.safetensors").write_bytes(b"new")
    after = copies.here(anime(away))
    assert after.path != before.path and Path(after.path).read_bytes() == b"new"


def test_a_hash_that_becomes_known_and_a_new_time_copy_nothing_again(away: Away, copies: ModelCopies) -> None:
    sha256 = hashlib.sha256((away.folder / "anime.safetensors").read_bytes()).hexdigest()
    first, then = copies.here(anime(away)), copies.here(anime(away, sha256=sha256))
    assert then.path == first.path and away.read_bytes == 5004
    os.utime(away.folder / "anime.safetensors", (5, 5))
    assert copies.here(anime(away, sha256=sha256)).path == first.path and away.read_bytes == 5004
    (away.folder / "anime.yaml").write_text("v: 22")
    assert Path(copies.here(anime(away, sha256=sha256)).path).with_suffix(".yaml").read_text() == "v: 22"


def test_a_copy_that_is_not_what_the_hash_says_is_refused(away: Away, copies: ModelCopies, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="changed while it was copied"):
        copies.here(anime(away, sha256="0" * 64))
    assert not list((tmp_path / "copies").iterdir())


def test_another_worker_of_the_machine_that_was_sooner_is_no_error(
    away: Away, copies: ModelCopies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sooner = ModelCopies(tmp_path / "copies", Away(away.folder), lambda name, done: None, limit=12_000)
    read = away.read
    monkeypatch.setattr(away, "read", lambda *asked: sooner.here(anime(away)) and read(*asked))
    found = copies.here(anime(away))
    assert Path(found.path).read_bytes() == (away.folder / "anime.safetensors").read_bytes()
    assert len(list((tmp_path / "copies").iterdir())) == 1


def test_what_an_ended_worker_has_left_half_copied_goes_and_what_comes_stays(
    away: Away, copies: ModelCopies, tmp_path: Path
) -> None:
    for name in ("coming-left", "coming-now"):
        (tmp_path / "copies" / name).mkdir(parents=True)
        (tmp_path / "copies" / name / "part").write_bytes(b"1" * 11_000)
    for left in (tmp_path / "copies" / "coming-left" / "part", tmp_path / "copies" / "coming-left"):
        os.utime(left, (1, 1))
    copies.here(anime(away))
    assert sorted(each.name for each in (tmp_path / "copies").glob("coming-*")) == ["coming-now"]


def test_a_shared_folder_is_used_as_it_is(away: Away, copies: ModelCopies) -> None:
    path = away.folder / "anime.safetensors"
    shared = ModelFile(CHECKPOINT, "anime", str(path), fingerprint=fingerprint(path)._replace(inode=1))
    assert copies.here(shared) is shared and not away.read_bytes


def test_a_folder_comes_whole(away: Away, copies: ModelCopies) -> None:
    found = copies.here(ModelFile(CHECKPOINT, "folder", "/elsewhere", single_file=False))
    assert (Path(found.path) / "unet" / "weights.safetensors").read_bytes() == b"unet"


def test_networks_for_faces_come_with_their_neighbours(away: Away, copies: ModelCopies) -> None:
    found = copies.here(ModelFile(FACE_NETWORK, "face", "/elsewhere/unet/weights.safetensors"))
    assert Path(found.path).name == "weights.safetensors" and Path(found.path).exists()


def test_the_least_used_copies_leave(away: Away, copies: ModelCopies) -> None:
    old = copies.here(ModelFile(LORA, "other", "/elsewhere/other.safetensors"))
    os.utime(Path(old.path).parent, (1, 1))
    (away.folder / "large.safetensors").write_bytes(b"1" * 9000)
    copies.here(anime(away))
    large = copies.here(ModelFile(LORA, "large", "/elsewhere/large.safetensors"))
    assert Path(large.path).exists() and not Path(old.path).exists()


def test_a_command_is_given_paths_of_this_machine(away: Away, copies: ModelCopies) -> None:
    run = Run("job", "me", Request(), (0,), files={(CHECKPOINT, "anime"): anime(away)}, pictures={"id": b"png"})
    located = copies.located(run)
    assert Path(located.files[CHECKPOINT, "anime"].path).exists() and located.pictures == run.pictures
    assert copies.located(Unload()) == Unload()


def test_what_cannot_be_had_is_said_and_leaves_nothing(away: Away, copies: ModelCopies, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match=r"no model file gone\.safetensors"):
        copies.here(ModelFile(LORA, "gone", "/elsewhere/gone.safetensors"))
    monkeypatch.setattr(away, "read", lambda *asked: b"")
    with pytest.raises(NotFound, match="shorter"):
        copies.here(anime(away))
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize("path", ["../secret.txt", "link/../secret.txt", "unet/../../secret.txt", "/etc/passwd", "secret\0.txt"])
def test_nothing_outside_the_folders_is_given_out(away: Away, path: str) -> None:
    (away.folder.parent / "disk" / "inner").mkdir(parents=True)
    for folder in (away.folder.parent, away.folder.parent / "disk"):
        (folder / "secret.txt").write_text("secret")
    (away.folder / "link").symlink_to(away.folder.parent / "disk" / "inner")
    for asked in (away.source.files, lambda whole: away.source.read(whole, 0, 10)):
        with pytest.raises(NotFound):
            asked(str(away.folder / path))


def test_a_model_that_the_operator_has_linked_is_given_out(away: Away, copies: ModelCopies) -> None:
    (away.folder.parent / "disk.safetensors").write_bytes(b"weights")
    (away.folder / "linked.safetensors").symlink_to(away.folder.parent / "disk.safetensors")
    here = copies.here(ModelFile(LORA, "linked", "/elsewhere/linked.safetensors"))
    assert Path(here.path).read_bytes() == b"weights"
