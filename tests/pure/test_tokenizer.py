"""CLIP's tokenizer: known ids, the clean-up, and every way to get one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
WORDS = "masterpiece, a photo of a cat! don't <|endoftext|> 猫 123"


@pytest.fixture
def saved(tmp_path: Path) -> dict:
    """CLIP's vocabulary as OpenCLIP's folders hold it: tokenizer.json with `!` as a special token."""
    content = json.loads(Tokenizer.clip().bpe.to_str())
    padding = {**content["added_tokens"][0], "id": 0, "content": "!"}
    return content | {"added_tokens": [padding, *content["added_tokens"]]}


def test_special_ids() -> None:
    clip, open_clip = Tokenizer.clip(), Tokenizer.open_clip()
    assert (clip.start, clip.end, clip.pad, clip.comma) == (49406, 49407, 49407, 267)
    assert (open_clip.start, open_clip.end, open_clip.pad, open_clip.comma) == (49406, 49407, 0, 267)
    assert clip.bpe.get_vocab_size() == 49408


@pytest.mark.parametrize(("text", "ids"), [
    ("", []),
    ("a photo of a cat", [320, 1125, 539, 320, 2368]),
    ("cat!", [2368, 256]),
    ("!", [256]),
    ("<|endoftext|>", [49407]),
    ("<|STARTOFTEXT|> a", [49406, 320]),
    ("a, b", [320, 267, 321]),
])
def test_known_ids(text: str, ids: list[int]) -> None:
    assert Tokenizer.clip().ids(text) == ids


@pytest.mark.parametrize(("text", "same"), [
    ("  A \n\t CAT ", "a cat"), ("‘quoted’", "'quoted'"), ("ﬁne", "fine"), ("cat &amp; dog", "cat & dog"),
    ("ｃａｔ", "cat"), ("cafe\u0301", "café"),
])
def test_clean_up(text: str, same: str) -> None:
    assert Tokenizer.clip().ids(text) == Tokenizer.clip().ids(same)


def test_open_clip_knows_other_special_names() -> None:
    assert Tokenizer.open_clip().ids("<end_of_text>") == [49407]
    assert 49407 not in Tokenizer.open_clip().ids("<|endoftext|>")


@given(st.text())
def test_any_text_has_ids_within_the_vocabulary(text: str) -> None:
    assert all(0 <= token < 49408 for token in Tokenizer.clip().ids(text))


@given(st.lists(st.from_regex(r"\A[a-z]+\Z"), max_size=6))
def test_words_are_independent(words: list[str]) -> None:
    clip = Tokenizer.clip()
    assert clip.ids(" ".join(words)) == [token for word in words for token in clip.ids(word)]


def test_folder_with_vocabulary_and_merges(tmp_path: Path, saved: dict) -> None:
    vocabulary = saved["model"]["vocab"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    merges = ["#version: 0.2", *(" ".join(merge) for merge in saved["model"]["merges"])]
    (tmp_path / "merges.txt").write_text("\n".join(merges), "utf-8")
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": {"content": "!"}}')
    folder = Tokenizer.from_folder(tmp_path)
    assert folder.ids(WORDS) == Tokenizer.clip().ids(WORDS)
    assert (folder.start, folder.end, folder.pad, folder.comma) == (49406, 49407, 0, 267)


@pytest.mark.parametrize("as_text", [True, False])
def test_folder_with_one_file(tmp_path: Path, saved: dict, as_text: bool) -> None:
    if as_text:
        saved["model"]["merges"] = [" ".join(merge) for merge in saved["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(saved), "utf-8")
    folder = Tokenizer.from_folder(tmp_path)
    assert folder.ids(WORDS) == Tokenizer.clip().ids(WORDS)
    assert folder.pad == 49407


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tokenizer.from_folder(tmp_path)


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    (tmp_path / "merges.txt").write_text("")
    with pytest.raises(ValueError, match="not a CLIP vocabulary"):
        Tokenizer.from_folder(tmp_path)


def test_of_other_tokenizers(saved: dict) -> None:
    clip = Tokenizer.clip()
    assert Tokenizer.of(clip) is clip
    other = type(clip.bpe).from_str(json.dumps(saved))
    assert Tokenizer.of(other).ids(WORDS) == clip.ids(WORDS)
    assert Tokenizer.of(other) is Tokenizer.of(other)
    with pytest.raises(TypeError):
        Tokenizer.of("clip")


def test_the_prompt_language_needs_no_torch() -> None:
    code = "import sys, backend.prompt.chunks; print(*{'torch', 'transformers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("vocabulary", ["{", "[1]", '{"a": 1}', '{"<|startoftext|>": "x", "<|endoftext|>": 2}', '{"<|startoftext|>": 1e999, "<|endoftext|>": 2}',
                                        '{"<|startoftext|>": [1], "<|endoftext|>": -2}', '{"<|startoftext|>": 0, "<|endoftext|>": 1}', "[" * 100_000])
def test_a_vocabulary_that_is_none_is_refused_in_one_way(tmp_path, vocabulary):
    (tmp_path / "merges.txt").write_text("a b\n")
    for name, text in (("vocab.json", vocabulary), ("tokenizer.json", f'{{"model": {{"merges": [["a", "b"]], "vocab": {vocabulary}}}}}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError):
            Tokenizer.from_folder(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_a_pipe_among_the_files_of_a_vocabulary_is_not_waited_for(tmp_path, name):
    letters = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "b": 3, "ab": 4}
    (tmp_path / "vocab.json").write_text(json.dumps(letters))
    (tmp_path / "merges.txt").write_text("a b\n")
    assert Tokenizer.from_folder(tmp_path).start == 0
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError):
        Tokenizer.from_folder(tmp_path)
