"""A picture's settings text, key by key, as it stands there: for lists, filters and comparisons."""

from __future__ import annotations

from backend.image.infotext.sampling import named
from backend.image.infotext.syntax import stated

_LABEL = 200        # characters of a checkpoint's or a sampler's name


def entries(text: str) -> dict[str, str]:
    """Infotext key -> value, the prompts first among them; only what the text says. Never raises.

    A schedule that stands behind the sampler's name, as in AUTOMATIC1111 before 1.9, has its own key here.
    """
    found = {key: str(value) for key, value in stated(text).items() if value or key == "Prompt"}
    return found | (_sampling(found["Sampler"], found.get("Schedule type")) if "Sampler" in found else {})


def labels(text: str) -> tuple[str, str]:
    """The checkpoint's name (or its hash) and the sampler's label in a settings text; "" for what it does not tell."""
    found = entries(text)
    names = found.get("Model") or found.get("Model hash", ""), found.get("Sampler", "")
    model, sampler = (name.encode("utf-8", "replace").decode()[:_LABEL] for name in names)
    return model, sampler


def _sampling(sampler: str, schedule: str | None) -> dict[str, str]:
    told = named(sampler)
    return {"Sampler": told.sampler} | ({"Schedule type": schedule or told.schedule} if told.schedule else {})
