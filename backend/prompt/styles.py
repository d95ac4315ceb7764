"""Prompt styles as AUTOMATIC1111 knows them: merged into a prompt, found in one, and taken out of it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_PLACE = "{prompt}"
Style = Mapping[str, str]


def apply_styles(texts: Iterable[str], prompt: str) -> str:
    """The prompt with the texts of styles merged in, one after the other.

    A text with `{prompt}` takes the prompt in there; another one follows it behind a comma. Without texts the prompt
    stays as it is.
    """
    for text in texts:
        if _PLACE in text:
            prompt = text.replace(_PLACE, prompt)
        else:
            prompt = ", ".join(filter(None, (prompt.strip(), text.strip())))
    return prompt


def extract_styles(styles: Sequence[Style], prompt: str, negative: str) -> tuple[list[str], str, str]:
    """Names of the styles found (in the order they were applied), and both prompts without them.

    A style (keys name, prompt, negative_prompt) is found only if both of its texts are.
    """
    left, names = [style for style in styles if style.get("prompt") or style.get("negative_prompt")], []
    while match := _last_applied(left, prompt, negative):
        style, prompt, negative = match
        left.remove(style)
        names.append(style.get("name", ""))
    return names[::-1], prompt, negative


def _last_applied(styles: Sequence[Style], prompt: str, negative: str) -> tuple[Style, str, str] | None:
    for style in styles:
        positive_found, inner = extract(style.get("prompt", ""), prompt)
        negative_found, inner_negative = extract(style.get("negative_prompt", ""), negative)
        if positive_found and negative_found:
            return style, inner, inner_negative
    return None


def extract(style: str, prompt: str) -> tuple[bool, str]:
    """Whether `prompt` holds the style's text, and the prompt without it (unchanged if not).

    A style wraps the prompt at `{prompt}`, or stands at its end; runs of spaces stay as they are.
    """
    text, wrapper = prompt.strip(), style.strip()
    before, mark, after = wrapper.partition(_PLACE)
    if not mark:
        before, after = "", wrapper
    fits = text.startswith(before) and text.endswith(after) and len(text) >= len(before) + len(after)
    if not fits or _PLACE in after:
        return False, prompt
    inner = text[len(before) : len(text) - len(after)]
    return True, inner if mark else inner.removesuffix(", ")
