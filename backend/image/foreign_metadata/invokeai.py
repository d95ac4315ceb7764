"""InvokeAI: a chunk of JSON since version 3, another one in version 2, and a command line before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from backend.image.foreign_metadata.settings_text import model_name, sampling, settings_text, size
from backend.image.foreign_metadata.texts import Texts

NEW, OLD, OLDEST = "invokeai_metadata", "sd-metadata", "Dream"
_NEGATIVE = re.compile(r"\[([^\]]*)\]")
_COMMAND = re.compile(r'\s*"(?P<prompt>.*)"(?P<rest>[^"]*)', re.DOTALL)
_OPTION = re.compile(r"-([A-Za-z])\s*(\S+)")


def is_by_invokeai(texts: Texts) -> bool:
    return any(texts[place] for place in (NEW, OLD, OLDEST))


def from_invokeai(texts: Texts) -> str:
    """Raises KeyError, TypeError or ValueError when nothing of it can be read."""
    if told := texts.table(NEW):
        return _new(told)
    return _old(texts.table(OLD)) if texts.table(OLD) else _command(texts[OLDEST])


def _new(told: dict[str, Any]) -> str:
    sampler = str(told.get("scheduler") or "")
    model = told.get("model")
    model = model if isinstance(model, dict) else {}
    layers = told.get("clip_skip")
    return settings_text("InvokeAI", told.get("positive_prompt"), told.get("negative_prompt"), {
        "Steps": told.get("steps"), **_sampling(sampler), "CFG scale": told.get("cfg_scale"), "Seed": told.get("seed"),
        "Size": size(told.get("width"), told.get("height")),
        "Model": model_name(model.get("model_name") or model.get("name")),
        "Clip skip": layers + 1 if isinstance(layers, int) and layers else None,
        "RNG": "CPU" if told.get("rand_device") == "cpu" else None}, _networks(told.get("loras")))


def _networks(loras: Any) -> Iterator[tuple[Any, Any]]:
    """The model of a LoRA was called `lora` in version 3."""
    for one in loras if isinstance(loras, list) else ():
        model = (one.get("model") or one.get("lora")) if isinstance(one, dict) else None
        if isinstance(model, dict):
            yield model.get("name") or model.get("model_name"), one.get("weight")


def _old(told: dict[str, Any]) -> str:
    image = told["image"]
    prompt = image["prompt"]
    whole = prompt if isinstance(prompt, str) else " ".join(str(piece["prompt"]) for piece in prompt)
    return settings_text("InvokeAI", *_parted(whole), {
        "Steps": image.get("steps"), **_sampling(str(image.get("sampler") or image.get("scheduler") or "")),
        "CFG scale": image.get("cfg_scale"), "Seed": image.get("seed"),
        "Size": size(image.get("width"), image.get("height")), "Model": model_name(told.get("model_weights"))})


def _command(text: str) -> str:
    """`"a prompt" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms`."""
    match = _COMMAND.fullmatch(text)
    if not match:
        raise ValueError("no command line")
    options = dict(_OPTION.findall(match["rest"]))
    return settings_text("InvokeAI", *_parted(match["prompt"]), {
        "Steps": options.get("s"), **_sampling(options.get("A", "")), "CFG scale": options.get("C"),
        "Seed": options.get("S"), "Size": size(options.get("W"), options.get("H"))})


def _sampling(name: str) -> dict[str, str]:
    """Its names end in _k where the schedule is that of Karras."""
    return sampling(name.removesuffix("_k"), "karras" if name.endswith("_k") else None)


def _parted(prompt: str) -> tuple[str, str]:
    """Version 2 wrote the negative prompt in square brackets."""
    return _NEGATIVE.sub("", prompt).strip(), ", ".join(_NEGATIVE.findall(prompt))
