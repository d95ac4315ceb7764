"""Where a picture lies and what it is called: folder and file-name patterns with AUTOMATIC1111's words.

A pattern is text with words in brackets: `[date]/[model_name]`, `[seed]-[prompt_words]`. Two laws hold for every one:
the same job and index give the same name, so that a job which is repeated writes over its own file; and different
pictures never share one, because a name that its pattern does not make unique ends with job and number.
Names are safe on every file system: what a value says never makes a folder, hides a file or leaves the outputs folder.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from backend.errors import Problem
from backend.request.request import FIELDS, Request

GRID = -1                   # the index of the grid of a job's pictures
USERS = "users"             # the folder that holds what logged-in people made; no pattern reaches into it
MAX_PATTERN = 500           # characters
MAX_FOLDERS = 8
MAX_PART = 128              # characters of a folder or file name without ending, also of one word's value
MAX_BYTES = 240             # of the same in UTF-8; file systems allow 255 with the ending
MAX_PATH = 239              # characters below the outputs folder; Windows allows 260 in all
ROOM_FOR_NAME = 80          # characters that folders leave to the file's name
PROMPT_WORDS = 8
WEBP_SIDE = 16_383          # pixels
DATETIME = "%Y%m%d%H%M%S"

_WORD = re.compile(r"\[([^\[\]]+)\]")
_CALL = re.compile(r"\s*([a-z0-9_]+)\s*((?:<[^>]*>)*)\s*", re.IGNORECASE)
_ARGUMENT = re.compile(r"<([^>]*)>")
_FORBIDDEN = str.maketrans(dict.fromkeys('#<>:"/\\|?*\n\r\t', "_"))
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_JOINERS = "\u200c\u200d"   # invisible, but part of words and emoji
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
_NOT_LETTERS = re.compile(rf"[\s{re.escape(string.punctuation)}]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a name tells of: picture `index` of a job (`GRID` for its grid), whose whole request has its seeds drawn."""

    request: Request
    job: str
    created: datetime           # UTC
    index: int
    user: str = ""              # the account's name
    folder: str = ""            # this user's own, below the outputs folder, in which the name is to be
    model_hash: str = ""
    size: tuple[int, int] | None = None     # of the picture as it is saved; None takes the request's

    @property
    def alone(self) -> Request:
        """The request that makes this picture alone; a grid goes by its first picture."""
        return self.request.of_image(max(self.index, 0))

    @property
    def number(self) -> str:
        """The index, wide enough that the names of a job sort by it."""
        digits = max(3, len(str(self.request.count - 1)))
        return "grid" if self.index == GRID else f"{self.index:0{digits}d}"

    @property
    def ending(self) -> str:
        """The format asked for; PNG for a picture that WebP cannot hold."""
        too_large = self.size is not None and max(self.size) > WEBP_SIDE
        return "png" if self.request.image_format == "webp" and too_large else self.request.image_format

    @property
    def job_hash(self) -> str:
        return hashlib.sha256(self.job.encode("utf-8", "replace")).hexdigest()


def problems(request: Request) -> list[Problem]:
    """What is wrong with the two patterns of a request, by field."""
    found = [Problem(message, name) for name in ("folder_pattern", "name_pattern")
             if (message := _trouble(getattr(request, name)))]
    folders = _folders(request.folder_pattern + "/") + _folders(request.name_pattern)
    if not found and folders > MAX_FOLDERS:
        message = f"makes {folders} folders in one another; at most {MAX_FOLDERS} are made"
        found.append(Problem(message, "folder_pattern"))
    return found


def path(subject: Subject, room: int = MAX_PATH, *, whole_job: bool = False) -> PurePosixPath:
    """The file's path below the outputs folder, in at most `room` characters (160 or more).

    `whole_job` puts the job's long mark into the name: for the rare case that the short one is taken.
    """
    request = subject.request
    name_pattern = request.name_pattern.strip() or FIELDS["name_pattern"].default
    *folders, stem = f"{filled(request.folder_pattern, subject)}/{filled(name_pattern, subject)}".split("/")
    parts = _shared_out([part for folder in folders if (part := safe(folder))][:MAX_FOLDERS], room - ROOM_FOR_NAME)
    if parts and parts[0].casefold() == USERS:
        parts[0] = f"_{parts[0]}"
    ending = f".{subject.ending}"
    limit = min(MAX_PART, room - len(ending) - sum(len(part) + 1 for part in parts))
    suffix = f"-{subject.job_hash[:24 if whole_job else 8]}-{subject.number}"
    told = {name for name, _ in words(name_pattern)}
    if whole_job or not {"job", "number"} <= told or safe(stem, limit) != _tidied(stem):
        stem = (safe(stem, limit, len(suffix)) + suffix).removeprefix("-")
    return PurePosixPath(*parts, safe(stem, limit) + ending)


def filled(pattern: str, subject: Subject) -> str:
    """The pattern with its words filled in: `/` in it makes folders, those in values do not. Unknown words stay."""
    made, end = "", 0
    for match in _WORD.finditer(pattern):
        literal = pattern[end:match.start()].replace("\\", "/")
        value = _value(match[1], subject)
        if value is None:       # nothing to say: then what leads up to it is not said either
            literal, value = literal[:literal.rfind("/") + 1], ""
        made, end = made + literal + value, match.end()
    return made + pattern[end:].replace("\\", "/")


def words(pattern: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The words of a pattern, known or not, with arguments: `[datetime<%H><UTC>]` is ("datetime", ("%H", "UTC"))."""
    for match in _WORD.finditer(pattern):
        yield _call(match[1])


def safe(text: str, limit: int = MAX_PART, suffix: int = 0) -> str:
    """One folder's or file's name that every file system takes; "" if nothing is left.

    It has at most `limit` characters and MAX_BYTES, less those of a `suffix` that is to follow.
    """
    cut = _tidied(text)[:max(limit - suffix, 1)]
    return cut.encode()[:MAX_BYTES - suffix].decode("utf-8", "ignore").rstrip(" .")


def _tidied(text: str) -> str:
    text = visible(text).translate(_FORBIDDEN).strip().rstrip(" .")
    text = "_" + text[1:] if text.startswith(".") else text
    return f"_{text}" if _DEVICES.match(text) else text


def visible(text: str) -> str:
    """The text in its composed form, without control, direction and other invisible characters."""
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    spaced = (" " if c in "\n\r\t" else c for c in composed)
    return "".join(c for c in spaced if c in _JOINERS or unicodedata.category(c) not in _INVISIBLE)


# ---- what the words say ----


def _text(text: str, *, spaces: bool = True) -> str:
    """A value as it may stand in a name."""
    shown = visible(text).translate(_FORBIDDEN)
    return (shown if spaces else shown.replace(" ", "_")).lstrip(" ")[:MAX_PART].rstrip(" .")


def _prompt_words(prompt: str) -> str:
    found = [word for word in _NOT_LETTERS.split(prompt) if word]
    return _text(" ".join(found[:PROMPT_WORDS] or ["empty"]))


def _hash(text: str, length: str = "8") -> str:
    size = int(length) if length.isdecimal() else 8
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:min(max(size, 1), 64)]


def _datetime(subject: Subject, layout: str = "", zone: str = "") -> str:
    moment = subject.created.astimezone(_zone(zone) or UTC)
    try:
        return _text(moment.strftime(layout or DATETIME))
    except ValueError:
        return moment.strftime(DATETIME)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return None


def _hasprompt(subject: Subject, *wanted: str) -> str:
    """`[hasprompt<girl|no girl><city>]`: each text that the prompt holds, else what stands after its bar."""
    prompt = subject.alone.prompt.lower()
    parts = (text.partition("|") for text in wanted if text)
    return _text("".join(expected.lower() if expected.lower() in prompt else default for expected, _, default in parts),
                 spaces=False)


def _sampler_scheduler(request: Request) -> str:
    return request.sampler if request.schedule == "Automatic" else f"{request.sampler} {request.schedule}"


def _denoising(request: Request) -> str | None:
    return None if request.idle(FIELDS["denoising_strength"]) else f"{request.denoising_strength:g}"


def _styles(request: Request) -> str:
    return _text(", ".join(request.styles) or "None")


def _if_several(count: int, value: int) -> str | None:
    return str(value) if count > 1 else None


def _seed_last(subject: Subject) -> str | None:
    request = subject.request
    last = request.of_image(request.count - 1).seed
    return _if_several(request.count, last)


def _side(subject: Subject, side: int) -> str:
    return str((subject.size or (subject.request.width, subject.request.height))[side])


Word = Callable[..., str | None]        # (subject, *arguments); None says nothing, and skips the text before it

WORDS: dict[str, Word] = {
    "seed": lambda s: str(s.alone.seed),
    "seed_first": lambda s: str(s.request.seed),
    "seed_last": _seed_last,
    "steps": lambda s: str(s.request.steps),
    "cfg": lambda s: f"{s.request.cfg_scale:g}",
    "sampler": lambda s: _text(s.request.sampler),
    "scheduler": lambda s: _text(s.request.schedule),
    "sampler_scheduler": lambda s: _text(_sampler_scheduler(s.request)),
    "width": lambda s: _side(s, 0),
    "height": lambda s: _side(s, 1),
    "model_name": lambda s: _text(s.request.checkpoint),
    "model_hash": lambda s: s.model_hash,
    "styles": lambda s: _styles(s.request),
    "date": lambda s: f"{s.created:%Y-%m-%d}",
    "time": lambda s: f"{s.created:%H%M%S}",
    "datetime": _datetime,
    "job": lambda s: s.job_hash[:8],
    "job_timestamp": lambda s: f"{s.created:{DATETIME}}",
    "number": lambda s: s.number,
    "prompt": lambda s: _text(s.alone.prompt, spaces=False),
    "prompt_spaces": lambda s: _text(s.alone.prompt),
    "prompt_no_styles": lambda s: _text(s.request.prompt),
    "prompt_words": lambda s: _prompt_words(s.alone.prompt),
    "prompt_hash": lambda s, *length: _hash(s.alone.prompt, *length[:1]),
    "negative_prompt_hash": lambda s, *length: _hash(s.alone.negative_prompt, *length[:1]),
    "full_prompt_hash": lambda s, *length: _hash(f"{s.alone.prompt} {s.alone.negative_prompt}", *length[:1]),
    "hasprompt": _hasprompt,
    "batch_number": lambda s: _if_several(s.request.batch_size, max(s.index, 0) % s.request.batch_size + 1),
    "batch_size": lambda s: str(s.request.batch_size),
    "generation_number": lambda s: _if_several(s.request.count, max(s.index, 0) + 1),
    "clip_skip": lambda s: str(s.request.clip_skip),
    "denoising": lambda s: _denoising(s.request),
    "user": lambda s: _text(s.user),
    "none": lambda s: "",
}
TAKE_ARGUMENTS = ("datetime", "hasprompt", "prompt_hash", "negative_prompt_hash", "full_prompt_hash")


def _call(inside: str) -> tuple[str, tuple[str, ...]]:
    match = _CALL.fullmatch(inside)
    return (match[1].lower(), tuple(_ARGUMENT.findall(match[2]))) if match else (inside, ())


def _value(inside: str, subject: Subject) -> str | None:
    name, arguments = _call(inside)
    if name not in WORDS:
        return _text(f"[{inside}]")
    return WORDS[name](subject, *arguments[:2 if name == "datetime" else None] if name in TAKE_ARGUMENTS else ())


# ---- what is wrong with a pattern ----


def _trouble(pattern: str) -> str:
    """The rest of a sentence that begins with the field's label; "" when the pattern can be used."""
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern):,} characters; at most {MAX_PATTERN} are read"
    literal = _WORD.sub("x", pattern).strip()
    if literal.startswith(("/", "\\")) or re.match("[A-Za-z]:", literal):
        return "must stay below the outputs folder: it cannot begin with / or a drive"
    if any(part.strip() == ".." for part in re.split(r"[/\\]", literal)):
        return "must stay below the outputs folder: it cannot contain '..'"
    for name, arguments in words(pattern):
        if message := _word_trouble(name, arguments):
            return message
    return ""


def _word_trouble(name: str, arguments: tuple[str, ...]) -> str:
    if name not in WORDS:
        return f"has the unknown word [{name[:40]}]; known are: {', '.join(f'[{word}]' for word in WORDS)}"
    if arguments and name not in TAKE_ARGUMENTS:
        return f"has [{name}] with <...>, which says nothing there"
    if name != "datetime":
        return ""
    if len(arguments) > 1 and _zone(arguments[1]) is None:
        return f"names the time zone '{arguments[1][:40]}', which is unknown; write it like Europe/Berlin"
    try:
        datetime(2026, 11, 22, 21, 30, 5, tzinfo=UTC).strftime(arguments[0] if arguments else DATETIME)
    except ValueError:
        return f"has a time format that cannot be read: {arguments[0][:40]}"
    return ""


def _folders(pattern: str) -> int:
    *folders, _ = re.split(r"[/\\]", _WORD.sub("x", pattern))
    return sum(bool(folder.strip()) for folder in folders)


def _shared_out(folders: list[str], room: int) -> list[str]:
    """Folder names, shortened alike when they are too long together."""
    if sum(len(folder) + 1 for folder in folders) <= room:
        return folders
    return [safe(folder, room // len(folders) - 1) for folder in folders]
