"""A settings text as AUTOMATIC1111 1.10.1 takes it: its keys, what it adds to them, and prompts without its styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.image.infotext.compatibility import add_defaults, add_history, add_relatives, parse_version
from backend.image.infotext.syntax import entry, layout, prompts
from backend.prompt.styles import extract_styles


def parse(
    text: str, *, styles: Sequence[Mapping[str, str]] = (), opts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What AUTOMATIC1111 1.10.1's `parse_generation_parameters` gives for `text`; never raises.

    Values that stand in the text are strings, `NxM` makes `Key-1` and `Key-2`; defaults that it adds may be numbers.
    `styles` are its prompt styles (name, prompt, negative_prompt). `opts` are its settings infotext_styles
    ("Apply if any", "Apply", "Ignore", "Discard"), infotext_skip_pasting (keys) and auto_backcompat.
    Where it would take lines of other programs for a prompt, or a key in another case for a foreign one, this does not.
    """
    opts = opts or {}
    parts = layout(text)
    found: dict[str, Any] = {}
    for key, value in parts.pairs:
        found |= entry(key, value)
    add_relatives(found)
    found |= {key: value for key, value in parts.templates if value and key not in found}
    plain = prompts(parts)
    if opts.get("infotext_styles", "Apply if any") != "Ignore":
        plain = _without_styles(found, plain, styles, opts)
    found["Prompt"], found["Negative prompt"] = plain
    add_defaults(found)
    if opts.get("auto_backcompat", True):
        add_history(found)
    for key in opts.get("infotext_skip_pasting", ()):
        found.pop(key, None)
    return found


def _without_styles(
    found: dict[str, Any], prompts: tuple[str, str], styles: Sequence[Mapping[str, str]], opts: Mapping[str, Any]
) -> tuple[str, str]:
    """The prompts less their styles, unless the prompts of the hires pass hold other styles."""
    names, *plain = extract_styles(styles, *prompts)
    version = parse_version(found.get("Version"))
    hires = [found.get(f"Hires {key}", own) for key, own in zip(("prompt", "negative prompt"), prompts, strict=True)]
    if ("Hires prompt" in found or "Hires negative prompt" in found) and (version is None or version > (1, 8, 0, 139)):
        hires_names, *hires_plain = extract_styles(styles, *hires)
        if hires_names != names:
            return prompts
        for key, own, other in zip(("Hires prompt", "Hires negative prompt"), plain, hires_plain, strict=True):
            found[key] = "" if own == other else other
    wanted = opts.get("infotext_styles", "Apply if any")
    if wanted == "Apply" or (wanted == "Apply if any" and names):
        found["Styles array"] = names
    return plain[0], plain[1]
