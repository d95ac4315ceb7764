"""The checkpoints that lie in the models folders: found, named, recognised and hashed.

    <models>/demo                                      the shipped model, a diffusers folder
    <models>/checkpoints/**/*.safetensors, *.ckpt      single files (AUTOMATIC1111's name `Stable-diffusion` works too)
    <models>/checkpoints/**/model_index.json           diffusers folders
    <name>.json beside a file, easel.json in a folder  field values that suit the model
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from backend.catalog import families
from backend.catalog.fingerprints import Fingerprint, fingerprint, sha256_of
from backend.catalog.headers import read_shapes
from backend.catalog.model_files import clean_name, is_model
from backend.catalog.regular_files import read_config, read_regular
from backend.errors import CheckpointError, InvalidRequest, NotFound
from backend.messages import Checkpoint
from backend.request.request import FIELDS, Request

log = logging.getLogger(__name__)

FOLDERS = ("checkpoints", "Stable-diffusion")
DEMO = "demo"
ENDINGS = (".safetensors", ".ckpt")
INDEX = "model_index.json"
SIDE_CAR = "easel.json"
MIN_HASH = 6                # hexadecimal digits that a request must give
_TITLE_HASH = re.compile(r"\s*\[([0-9a-fA-F]+)\]$")


@dataclass(frozen=True, slots=True)
class Found:
    """A file or diffusers folder as it lies on the disk. `name` is its path inside the folder that was searched."""

    path: Path
    name: str
    root: str

    def candidate_keys(self) -> Iterator[str]:
        """Names for it, the most readable first, each more exact than the one before."""
        yield clean_name(Path(self.name).stem if self.is_file else Path(self.name).name)
        yield clean_name(str(Path(self.name).with_suffix("")) if self.is_file else self.name)
        yield clean_name(self.name)
        yield clean_name(f"{self.root}/{self.name}")

    @property
    def is_file(self) -> bool:
        return self.name.lower().endswith(ENDINGS)


class Catalog:
    """All checkpoints of the `models` folders. Hashes are kept in `data`/hashes.json. Safe to use from many threads."""

    def __init__(self, models: tuple[Path, ...], data: Path) -> None:
        self.models = tuple(Path(folder) for folder in models)
        self.hashes = Hashes(data / "hashes.json")
        self._seen: dict[Path, tuple[Fingerprint, str, str]] = {}     # path -> fingerprint, family, problem
        self._listed: list[Checkpoint] | None = None

    def scan(self) -> list[Checkpoint]:
        """Look through the folders: every checkpoint, by key, broken ones with their `problem`. Never raises."""
        listed: dict[str, Checkpoint] = {}
        for found in self._search():
            key = next((key for key in found.candidate_keys() if key not in listed), None)
            mark = fingerprint(found.path)
            if key is None or mark is None:
                continue
            checkpoint = self._describe(found, key, mark)
            if checkpoint.family != families.NO_CHECKPOINT:
                listed[key] = checkpoint
        self._listed = sorted(listed.values(), key=lambda checkpoint: checkpoint.key.casefold())
        return self._listed

    def listed(self) -> list[Checkpoint]:
        """What the last look through the folders found, with the hashes that have become known since."""
        return [self._with_hash(checkpoint) for checkpoint in self._listed or self.scan()]

    def find(self, name_or_hash: str = "") -> Checkpoint:
        """By key, file name, title or hash (at least 6 hexadecimal digits). "" is the first usable one, the demo last.

        Raises NotFound naming the field `checkpoint` and what there is.
        """
        for listed in (self._listed or [], self.scan()):
            found = _match(listed, name_or_hash.strip())
            if found and fingerprint(found.path):
                return self._with_hash(found)
        raise NotFound(_nothing(name_or_hash, [checkpoint.key for checkpoint in listed]), field="checkpoint")

    def hash(self, checkpoint: Checkpoint) -> str:
        """Its SHA-256, hexadecimal, from the cache or by reading it all. Raises CheckpointError when that fails."""
        sha256 = self.hashes.of(checkpoint.path)
        if not sha256:
            sha256 = sha256_of(checkpoint.path)
            self.hashes.remember(checkpoint.path, sha256)
        return sha256

    def remember_hash(self, key: str, sha256: str) -> None:
        """Keep a hash that the worker has computed; unknown keys and empty hashes are ignored."""
        known = next((checkpoint for checkpoint in self._listed or self.scan() if checkpoint.key == key), None)
        if known and re.fullmatch("[0-9a-f]{64}", sha256):
            self.hashes.remember(known.path, sha256)
            self._listed = None

    def tokenizer_folder(self, checkpoint: Checkpoint) -> Path | None:
        """Where the checkpoint has a tokenizer of its own; None = CLIP's."""
        return tokenizer_folder(checkpoint)

    def _search(self) -> Iterator[Found]:
        for models in self.models:
            if os.path.isfile(models / DEMO / INDEX):   # unlike Path.is_file, False where looking is forbidden
                yield Found(models / DEMO, DEMO, models.name)
            for folder in FOLDERS:
                yield from sorted(_walk(models / folder), key=_naming_order)

    def _describe(self, found: Found, key: str, mark: Fingerprint) -> Checkpoint:
        family, problem = self._recognise(found.path, mark)
        sha256 = self.hashes.of(found.path, mark)
        return Checkpoint(
            key=key, title=_title(clean_name(found.name), sha256), path=str(found.path), family=family,
            single_file=found.is_file, sha256=sha256, defaults=_defaults(found.path, family), problem=problem,
            example_prompts=_example_prompts(found.path),
        )

    def _recognise(self, path: Path, mark: Fingerprint) -> tuple[str, str]:
        """Family and problem, read again only when the file has changed."""
        seen = self._seen.get(path)
        if seen is None or seen[0] != mark:
            seen = self._seen[path] = (mark, *_recognise(path))
        return seen[1:]

    def _with_hash(self, checkpoint: Checkpoint) -> Checkpoint:
        """With the hash if it has become known since the scan."""
        sha256 = self.hashes.of(checkpoint.path)
        if sha256 == checkpoint.sha256:
            return checkpoint
        return replace(checkpoint, sha256=sha256, title=_title(_TITLE_HASH.sub("", checkpoint.title), sha256))


class Hashes:
    """SHA-256 by path, valid while size and time stay the same; a JSON file that is always whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._known = _read_hashes(file)

    def of(self, path: Path | str, mark: Fingerprint | None = None) -> str:
        """The hash of a file or folder as it is now, "" if it is not known."""
        size, changed, sha256 = self._known.get(str(path), (0, 0, ""))
        return sha256 if sha256 and (mark or fingerprint(path) or (0, 0))[:2] == (size, changed) else ""

    def remember(self, path: Path | str, sha256: str) -> None:
        """Keep a hash; what cannot be written to the disk is remembered until the end of the process."""
        mark = fingerprint(path)
        if mark is None:
            return
        with self._lock:
            self._known[str(path)] = (mark.size, mark.changed, sha256)
            try:
                _write_whole(self.file, json.dumps(self._known, indent=1))
            except OSError as error:
                log.warning("hashes are not saved: %s", error)


def tokenizer_folder(checkpoint: Checkpoint) -> Path | None:
    """The `tokenizer` folder of a diffusers folder, if it holds a vocabulary."""
    folder = Path(checkpoint.path) / "tokenizer"
    return folder if any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")) else None


def side_car(path: Path) -> dict[str, Any]:
    """What the JSON file beside a model says; {} when there is none or it is broken."""
    file = path / SIDE_CAR if path.is_dir() else path.with_suffix(".json")
    try:
        return read_config(file) if os.path.lexists(file) else {}
    except CheckpointError as error:
        log.warning("%s is ignored: %s", file, error)
        return {}


def _walk(root: Path) -> Iterator[Found]:
    """Files and diffusers folders below `root` whose real place is below it too; hidden ones are left out."""
    real = os.path.realpath(root)
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        here = Path(folder)
        names: Iterable[str] = (name for name in files if is_model(here / name, ENDINGS))
        if INDEX in files and here != root:
            names, subfolders[:] = [""], []
        for name in names:
            path = here / name
            if os.path.realpath(path).startswith(real + os.sep):
                yield Found(path, path.relative_to(root).as_posix(), root.name)


def _naming_order(found: Found) -> tuple[int, bool, str]:
    """Who gets the plain name: the one nearest to the top, safetensors before pickles."""
    return found.name.count("/"), found.name.lower().endswith(".ckpt"), found.name


def _recognise(path: Path) -> tuple[str, str]:
    try:
        family = families.detect_folder(path) if path.is_dir() else families.detect(read_shapes(path))
    except CheckpointError as error:
        return families.UNKNOWN, str(error)
    return family, families.why_not(family)


def _match(listed: list[Checkpoint], name: str) -> Checkpoint | None:
    if not name:
        usable = [checkpoint for checkpoint in listed if not checkpoint.problem]
        return min(usable, key=lambda checkpoint: checkpoint.key == DEMO, default=None)
    bare, digits = _TITLE_HASH.sub("", name), _TITLE_HASH.search(name)
    tests = (
        lambda checkpoint: checkpoint.key == name,
        lambda checkpoint: checkpoint.title == name,
        partial(_has_hash, digits=(digits[1] if digits else name).lower()),
        lambda checkpoint: bare.casefold() in _names(checkpoint),
    )
    return next((checkpoint for test in tests for checkpoint in listed if test(checkpoint)), None)


def _has_hash(checkpoint: Checkpoint, digits: str) -> bool:
    return len(digits) >= MIN_HASH and checkpoint.sha256.startswith(digits)


def _names(checkpoint: Checkpoint) -> set[str]:
    """Other spellings of a checkpoint's key, case-folded."""
    file = _TITLE_HASH.sub("", checkpoint.title)
    base = file.rpartition("/")[2]
    stem = base.rpartition(".")[0] if checkpoint.single_file else base
    return {name.casefold() for name in (checkpoint.key, file, base, stem)}


def _nothing(name: str, keys: list[str]) -> str:
    if not keys:
        return f"there is no checkpoint yet; put a .safetensors file into models/{FOLDERS[0]}"
    some = ", ".join(keys[:10]) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
    if not name:
        return f"none of these can be used: {some}"
    return f"'{clean_name(name)[:80]}' is not in the list; there is: {some}"


def _title(name: str, sha256: str) -> str:
    return f"{name} [{sha256[:10]}]" if sha256 else name


def _defaults(path: Path, family: str) -> dict[str, Any]:
    """Field values that suit the model: its family's size, then what its side-car says, as far as that is valid."""
    stored = side_car(path)
    stored = stored["defaults"] if isinstance(stored.get("defaults"), dict) else stored
    values: dict[str, Any] = {"width": 512, "height": 512} if family.startswith("sd1") else {}
    for name in stored.keys() & FIELDS.keys() - {"checkpoint"}:
        try:
            values[name] = getattr(Request.parse({name: stored[name]}), name)
        except InvalidRequest as error:
            log.warning("the default of %s is ignored: %s", path.name, error)
    return values


def _example_prompts(path: Path) -> tuple[str, ...]:
    stored = side_car(path).get("example_prompts")
    return tuple(text for text in stored if isinstance(text, str))[:12] if isinstance(stored, list) else ()


def _read_hashes(file: Path) -> dict[str, tuple[int, int, str]]:
    try:
        entries = json.loads(read_regular(file, 8 << 20))
        return {str(path): (int(size), int(changed), str(sha)) for path, (size, changed, sha) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _write_whole(file: Path, text: str) -> None:
    """Replace a file in one step, so that a reader or a crash never sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except OSError:
        os.unlink(temporary)
        raise
