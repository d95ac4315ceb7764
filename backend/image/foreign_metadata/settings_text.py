"""Settings of another program as a text in AUTOMATIC1111's format, which everything else in the house reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from backend.image.foreign_metadata import sampler_names
from backend.image.infotext.syntax import NEGATIVE, quote

MAX_VALUE = 1000        # characters of a name or number

Networks: TypeAlias = Iterable[tuple[Any, Any]]
"""Names and strengths of the LoRAs that a program keeps beside the prompt."""


def settings_text(
    program: str, prompt: Any, negative: Any, settings: Mapping[str, Any], networks: Networks = ()
) -> str:
    """The text, with the networks in the prompt. What is None, "" or no plain value is left out.

    `program` is told as its version.
    """
    told = {key: _told(value) for key, value in settings.items()} | {"Version": program}
    line = ", ".join(f"{key}: {quote(value)}" for key, value in told.items() if value)
    below = f"\n{NEGATIVE} {_prompt(negative)}" if _prompt(negative) else ""
    return f"{_with_networks(_prompt(prompt), networks)}{below}\n{line}".strip()


def sampling(sampler: Any, schedule: Any = None) -> dict[str, str]:
    """The keys of a sampler and a schedule by the names of another program."""
    found = {"Sampler": sampler_names.sampler(sampler)} if isinstance(sampler, str) and sampler else {}
    if isinstance(schedule, str) and schedule:
        found["Schedule type"] = sampler_names.schedule(schedule)
    return found


def size(width: Any, height: Any) -> str | None:
    """`NxM`, where both are told."""
    return f"{int(width)}x{int(height)}" if width and height else None


def model_name(path: Any) -> str | None:
    """A checkpoint's file name without its folder and ending."""
    if not isinstance(path, str):
        return None
    name = path.replace("\\", "/").rpartition("/")[2]
    head, dot, ending = name.rpartition(".")
    return head if dot and ending.lower() in ("safetensors", "ckpt", "sft", "pt") else name


def listed(value: Any, separator: str = ",") -> list[Any]:
    """The entries of a list, also of one that is written as text; none of anything else."""
    if isinstance(value, str):
        return [piece.strip() for piece in value.split(separator) if piece.strip()]
    return value if isinstance(value, list) else [value] if isinstance(value, int | float) else []


def _with_networks(prompt: str, networks: Networks) -> str:
    """Those that the prompt does not name itself."""
    named = ((model_name(name), _told(strength) or "1") for name, strength in networks)
    missing = (f"<lora:{name}:{strength}>" for name, strength in named if name and f"<lora:{name}:" not in prompt)
    return " ".join(filter(None, (prompt, *missing)))


def _told(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip()[:MAX_VALUE] if plain else ""


def _prompt(text: Any) -> str:
    return text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""
