"""Files in folders that anybody may have filled: found without leaving the folder, named without tricks."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backend.catalog.headers import Header, read_header

_OF_DIFFUSERS = "diffusion_pytorch_model"
MAX_DEPTH = 16              # folders within folders
MAX_SEEN = 100_000          # names in one folder and all that it holds
_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>&\"'`:]")

log = logging.getLogger(__name__)


def clean_name(name: str) -> str:
    """Without characters that could act in a page or a terminal, or that end a network's name in a prompt."""
    return _UNCLEAN.sub("_", name)


@dataclass(eq=False)
class Found:
    """A file, or a folder that is one model, as it lies on the disk. `name` is its path inside the folder `root`."""

    path: Path
    name: str
    root: str
    is_folder: bool = False

    @cached_property
    def header(self) -> Header:
        """Raises CheckpointError, as `read_header` does."""
        return read_header(self.path)

    @property
    def stem(self) -> str:
        """The name without folders and ending. What diffusers has saved is called as its folder."""
        folders, last = self.name.split("/")[:-1], self.name.rpartition("/")[2]
        if self.is_folder:
            return last
        named = [folder for folder in folders if folder != "vae"]
        return named[-1] if named and last.startswith(_OF_DIFFUSERS) else Path(last).stem

    def candidate_keys(self) -> Iterator[str]:
        """Names for it, the most readable first, each more exact than the one before."""
        yield clean_name(self.stem)
        yield clean_name(self.name if self.is_folder else str(Path(self.name).with_suffix("")))
        yield clean_name(self.name)
        yield clean_name(f"{self.root}/{self.name}")

    @property
    def order(self) -> tuple[int, bool, str]:
        """Who gets the plain name: the one nearest to the top, safetensors before pickles."""
        return self.name.count("/"), not self.is_folder and not self.name.lower().endswith(".safetensors"), self.name


@dataclass(eq=False)
class Walk:
    """A look through one folder and those in it. `folders` tells what was looked at, with the time of its last change,
    None for a folder that is not there."""

    root: Path
    endings: tuple[str, ...]            # in lower case
    marker: str = ""                    # a folder that holds a file of this name is one model
    folders: dict[str, int | None] = field(default_factory=dict)
    _seen: int = field(default=0, init=False)
    _real: str = field(default="", init=False)

    def found(self) -> list[Found]:
        """Models that really lie below the root, in the order of `Found.order`; hidden ones are left out."""
        self._seen, self._real = 0, os.path.realpath(self.root)
        return sorted(self._below(self.root, ""), key=lambda found: found.order)

    def _below(self, folder: Path, inside: str) -> Iterator[Found]:
        self.folders[str(folder)] = changed(folder)
        try:
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda e: e.name)
        except (OSError, ValueError):       # gone, forbidden, too long a path, or no folder
            return
        self._seen += len(entries)
        if self._seen > MAX_SEEN or inside.count("/") > MAX_DEPTH:
            log.warning("%s holds too much; the rest is left out", folder)
            return
        if inside and self.marker and any(_is_regular(entry) for entry in entries if entry.name == self.marker):
            yield Found(folder, inside.rstrip("/"), self.root.name, is_folder=True)
            return
        for entry in entries:
            yield from self._entry(entry, inside)

    def _entry(self, entry: os.DirEntry[str], inside: str) -> Iterator[Found]:
        if entry.is_dir(follow_symlinks=False):
            yield from self._below(Path(entry.path), f"{inside}{entry.name}/")
        elif entry.name.lower().endswith(self.endings) and _is_regular(entry) and self._is_inside(entry):
            yield Found(Path(entry.path), f"{inside}{entry.name}", self.root.name)

    def _is_inside(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() or os.path.realpath(entry.path).startswith(self._real + os.sep)


def changed(folder: Path | str) -> int | None:
    """When names last came to the folder or left it, in ns; None when it is not there."""
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns if stat.S_ISDIR(found.st_mode) else None


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether it can be read without waiting, which a pipe or a device cannot."""
    try:
        return entry.is_file()
    except OSError:
        return False
