"""A prompt in plain words."""

from __future__ import annotations

import pytest

from backend.prompt.plain_text import plain_text


@pytest.mark.parametrize(("prompt", "words"), [
    ("a red circle", "a red circle"),
    ("a (red:1.3) [circle] <lora:demo-halfshade:0.5>, ((big))", "a red circle, big"),
    ("<lora:a:1>", ""),
    ("[red:blue:0.5] star", "blue star"),
    ("[red|blue] star", "blue star"),
    ("a cat AND a dog :0.5 AND rain :-1", "a cat, a dog"),
    ("a cat BREAK a dog", "a cat, a dog"),
    ("a cat # no dog\n, night", "a cat, night"),
    ("a \\(round\\) cat", "a (round) cat"),
    ("", ""),
    ("[broken", "broken"),
])
def test_only_the_words_are_left(prompt: str, words: str) -> None:
    assert plain_text(prompt, 20) == words
