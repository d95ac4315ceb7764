"""Copies of model files on a machine that does not share the front's folders, by what is in them, within a limit."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from backend.catalog.fingerprints import WEIGHTS, fingerprint
from backend.catalog.hashes import SHA256
from backend.catalog.model_file import FACE_NETWORK, ModelFile
from backend.cluster.model_source import SourceFile
from backend.errors import EaselError, NotFound

PIECE = 64 << 20        # bytes that travel at once
LIMIT = 200 << 30       # bytes of copies that a machine keeps
COMING = "coming-"      # what is not whole yet
LEFT_SECONDS = 3600     # without a change, after which nobody is at it any more

Told = TypeVar("Told")


class FileSource(Protocol):
    """See `ModelSource`."""

    def files(self, path: str) -> list[SourceFile]: ...

    def read(self, path: str, offset: int, length: int) -> bytes: ...


class ModelCopies:
    """Gives each model file a path that can be read here: its own where the folder is shared, else that of a copy.

    A copy is made once per content, found again after a restart, and the ones that were not used for the longest leave
    when there is no room for another. `coming(name, done)` is called before and after a file is copied.
    """

    def __init__(
        self, folder: Path, source: FileSource, coming: Callable[[str, bool], None], limit: int = LIMIT
    ) -> None:
        self._folder, self._source, self._coming, self._limit = folder, source, coming, limit

    def located(self, command: Told) -> Told:
        """A command whose model files can be read here. Raises EaselError when one cannot be had."""
        changes = {each.name: self._moved(getattr(command, each.name)) for each in dataclasses.fields(command)}
        return dataclasses.replace(command, **changes)

    def _moved(self, value: Told) -> Told:
        if isinstance(value, ModelFile):
            return self.here(value)
        if isinstance(value, dict) and any(isinstance(each, ModelFile) for each in value.values()):
            return {name: self._moved(each) for name, each in value.items()}
        return value

    def here(self, file: ModelFile) -> ModelFile:
        """The same file by a path of this machine. Raises EaselError."""
        if not file.path or _is_same(file):
            return file
        whole = os.path.dirname(file.path) if file.kind == FACE_NETWORK else file.path  # its networks lie side by side
        try:
            copy = self._copy(whole, file)
        except OSError as error:
            raise EaselError(f"{file.key} could not be copied to the machine that draws: {error}") from error
        path = str(copy / os.path.basename(file.path)) if file.single_file or whole != file.path else str(copy)
        return dataclasses.replace(file, path=path, fingerprint=fingerprint(path))

    def _copy(self, whole: str, file: ModelFile) -> Path:
        """Where a file with what describes it, or a folder, lies here: found by names, sizes and times, or by hash."""
        files, name = self._source.files(whole), os.path.basename(whole)
        copy, same = self._place(name, files), None
        if file.sha256 and whole == file.path:
            hashed = (name, *WEIGHTS)       # the hash is of these alone
            same = self._place(name, [each for each in files if not each[0].endswith(hashed)], file.sha256)
            copy = copy if copy.exists() or not same.exists() else same.resolve()
        if not copy.exists():
            self._coming(file.key, False)
            self._make_room(sum(size for _, size, _ in files))
            self._fetch(whole, files, copy, file.sha256 if same else "")
            self._coming(file.key, True)
        if same and not same.exists():
            _link(same, copy)
        os.utime(copy)
        return copy

    def _place(self, name: str, files: list[SourceFile], sha256: str = "") -> Path:
        told = "\n".join([name, sha256, *(f"{each} {size} {changed}" for each, size, changed in files)])
        return self._folder / hashlib.sha256(told.encode()).hexdigest()[:32]

    def _fetch(self, whole: str, files: list[SourceFile], copy: Path, sha256: str) -> None:
        """All or nothing: what is not yet whole lies under another name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = os.path.basename(whole)
        root = os.path.dirname(whole) if name in {each for each, _, _ in files} else whole
        coming = Path(tempfile.mkdtemp(prefix=COMING, dir=self._folder))
        try:
            for each, size, changed in files:
                target = coming / each
                target.parent.mkdir(parents=True, exist_ok=True)
                found = self._write(os.path.join(root, each), size, target)
                if each == name and SHA256.fullmatch(sha256) and found != sha256:
                    raise NotFound(f"{name} was changed while it was copied")
                os.utime(target, ns=(changed, changed))
            with contextlib.suppress(OSError):      # another worker of this machine was sooner
                coming.replace(copy)
            if not copy.exists():
                raise OSError(f"{copy} cannot be made")
        finally:
            shutil.rmtree(coming, ignore_errors=True)

    def _write(self, path: str, size: int, target: Path) -> str:
        """The SHA-256 of what was written."""
        content = hashlib.sha256()
        with target.open("wb") as out:
            while (at := out.tell()) < size:
                piece = self._source.read(path, at, PIECE)
                if not piece:
                    raise NotFound(f"{os.path.basename(path)} became shorter while it was copied")
                out.write(piece)
                content.update(piece)
        return content.hexdigest()

    def _make_room(self, coming: int) -> None:
        for left in self._folder.glob(f"{COMING}*"):
            if time.time() - max(each.lstat().st_mtime for each in (left, *left.rglob("*"))) > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        copies = [each for each in self._folder.glob("?" * 32) if not each.is_symlink()]
        known = sorted(copies, key=lambda copy: copy.stat().st_mtime)
        sizes = {copy: sum(file.stat().st_size for file in copy.rglob("*") if file.is_file()) for copy in known}
        for copy in known:
            if sum(sizes.values()) + coming <= self._limit:
                return
            shutil.rmtree(copy, ignore_errors=True)     # who has it open keeps it until he closes it
            del sizes[copy]


def _link(name: Path, copy: Path) -> None:
    """In place of one to a copy that is gone."""
    name.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):      # another worker of this machine was sooner
        name.symlink_to(copy.name)


def _is_same(file: ModelFile) -> bool:
    """Whether what lies here under its path is the file: of the same size and time, whatever its inode is."""
    found = fingerprint(file.path)
    return found is not None and (file.fingerprint is None or found[:2] == file.fingerprint[:2])
