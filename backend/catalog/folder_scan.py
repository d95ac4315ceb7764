"""Files in folders that anybody may have filled: found within bounds, named without tricks.

Links in a models folder are the operator's, as is the folder: they are followed, wherever they lead, since models often
lie on another disk. No client writes there or names a path. Each folder is looked through once, so links cannot loop.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator
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
    None for a folder that is not there. `seen` holds device and inode of each; what is in it is not entered again."""

    root: Path
    endings: tuple[str, ...]            # in lower case
    marker: str = ""                    # a folder that holds a file of this name is one model
    folders: dict[str, int | None] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    _names: int = field(default=0, init=False)
    _ahead: deque[tuple[Path, str]] = field(default_factory=deque, init=False)     # folders behind links

    def found(self) -> list[Found]:
        """Models below the root, in the order of `Found.order`; hidden ones are left out.

        A folder that is also reached by a link has the names of its own place: links are followed last.
        """
        self._names, models = 0, []
        self._ahead.append((self.root, ""))
        while self._ahead:
            models.extend(self._below(*self._ahead.popleft()))
        return sorted(models, key=lambda found: found.order)

    def _below(self, folder: Path, inside: str) -> Iterator[Found]:
        if not self._enters(folder):
            return
        try:
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda e: e.name)
        except (OSError, ValueError):       # gone, forbidden, too long a path, or no folder
            return
        self._names += len(entries)
        if self._names > MAX_SEEN or inside.count("/") > MAX_DEPTH:
            log.warning("%s holds too much; the rest is left out", folder)
            return
        if inside and self.marker and any(leads_to(entry.is_file) for entry in entries if entry.name == self.marker):
            yield Found(folder, inside.rstrip("/"), self.root.name, is_folder=True)
            return
        for entry in entries:
            yield from self._entry(entry, inside)

    def _entry(self, entry: os.DirEntry[str], inside: str) -> Iterator[Found]:
        if entry.is_dir(follow_symlinks=False):
            yield from self._below(Path(entry.path), f"{inside}{entry.name}/")
        elif leads_to(entry.is_dir):
            self._ahead.append((Path(entry.path), f"{inside}{entry.name}/"))
        elif entry.name.lower().endswith(self.endings) and leads_to(entry.is_file):
            yield Found(Path(entry.path), f"{inside}{entry.name}", self.root.name)

    def _enters(self, folder: Path) -> bool:
        """Whether it is a folder that was not looked through yet; notes it down."""
        state = _folder(folder)
        self.folders[str(folder)] = state and state.st_mtime_ns
        if state is None or (state.st_dev, state.st_ino) in self.seen:
            return False
        self.seen.add((state.st_dev, state.st_ino))
        return True


def changed(folder: Path | str) -> int | None:
    """When names last came to the folder or left it, in ns; None when it is not there."""
    state = _folder(folder)
    return state and state.st_mtime_ns


def _folder(path: Path | str) -> os.stat_result | None:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state if stat.S_ISDIR(state.st_mode) else None


def leads_to(kind: Callable[[], bool]) -> bool:
    """What `is_file` or `is_dir` of an entry says of what its link leads to; False for a link that leads to itself."""
    try:
        return kind()
    except OSError:
        return False
