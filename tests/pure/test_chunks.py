"""Token windows: AUTOMATIC1111's answers, and laws for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt.chunks import CHUNK_LENGTH, Chunks, chunk, count, pad_after_end, token_count
from backend.prompt.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDS = json.loads((GOLDEN / "prompt_chunks.json").read_text("utf-8"))
SYNTAX = st.lists(st.sampled_from([*"()[]:\\ ,", "cat", "1.2", " BREAK ", "badhand", "word " * 70])).map("".join)


def name(record: dict) -> str:
    return f"{record['text'][:30]}...{record['text'][-20:]}" if record["text"] else "empty"


def chunked(record: dict, tokenizer: Tokenizer) -> Chunks:
    options = {key: record[key] for key in ("comma_padding_backtrack", "emphasis", "embeddings") if key in record}
    return chunk(record["text"], tokenizer, **options)


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_chunks_are_automatic1111s(record: dict) -> None:
    chunks = chunked(record, Tokenizer.clip())
    expected = [(one["tokens"], one["multipliers"], [tuple(fix) for fix in one.get("fixes", [])])
                for one in record["chunks"]]
    assert [(one.tokens, one.multipliers, one.fixes) for one in chunks] == expected
    assert (chunks.token_count, chunks.target_token_count) == (record["token_count"], record["target_token_count"])


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_open_clip_tokens_are_automatic1111s(record: dict) -> None:
    tokenizer = Tokenizer.open_clip()
    tokens = [pad_after_end(one.tokens, tokenizer) for one in chunked(record, tokenizer)]
    assert tokens == record["openclip_tokens"]


def test_clip_tokens_need_no_other_padding() -> None:
    tokenizer = Tokenizer.clip()
    tokens = chunk("<|endoftext|> cat", tokenizer)[0].tokens
    assert pad_after_end(tokens, tokenizer) == tokens


def test_other_tokenizers_give_the_same() -> None:
    text = "Café (CAT!:1.2), [dog] &amp; BREAK <|endoftext|>"
    assert chunk(text, Tokenizer.clip().bpe) == chunk(text, Tokenizer.clip())


@given(st.one_of(st.text(), SYNTAX), st.integers(0, 75), st.integers(1, 99))
def test_any_text_gives_whole_chunks(text: str, backtrack: int, vectors: int) -> None:
    clip = Tokenizer.clip()
    chunks = chunk(text, clip, comma_padding_backtrack=backtrack, embeddings={"badhand": vectors})
    assert len(chunks) >= 1
    assert len(chunks) * CHUNK_LENGTH == chunks.target_token_count
    for one in chunks:
        assert len(one.tokens) == len(one.multipliers) == CHUNK_LENGTH + 2
        assert (one.tokens[0], one.tokens[-1], one.multipliers[0], one.multipliers[-1]) == (clip.start, clip.end, 1, 1)
        for offset, _ in one.fixes:
            assert not any(one.tokens[1 + offset : 1 + offset + min(vectors, CHUNK_LENGTH)])


@given(st.lists(st.sampled_from(["cat", "dog", ",", "house"]), max_size=200), st.integers(0, 75))
def test_no_token_is_lost(words: list[str], backtrack: int) -> None:
    clip = Tokenizer.clip()
    chunks = chunk(" ".join(words), clip, comma_padding_backtrack=backtrack)
    kept = [token for one in chunks for token in one.tokens if token not in (clip.start, clip.end)]
    assert kept == clip.ids(" ".join(words))


def test_an_embedding_moves_with_its_words() -> None:
    """AUTOMATIC1111 leaves the fix in the chunk that the comma rule moved the embedding's places out of."""
    first, second = chunk("cat " * 60 + ", dog badhand" + " dog" * 20, Tokenizer.clip(), embeddings={"badhand": 3})
    assert first.fixes == []
    assert second.fixes == [(1, "badhand")]
    assert second.tokens[2:5] == [0, 0, 0]


def test_an_embedding_is_never_longer_than_a_chunk() -> None:
    chunks = chunk("a badhand", Tokenizer.clip(), embeddings={"badhand": 200})
    assert [one.fixes for one in chunks] == [[], [(0, "badhand")]]


def test_token_count() -> None:
    assert token_count("", Tokenizer.clip()) == (0, 75)
    assert token_count("cat " * 76, Tokenizer.clip()) == (76, 150)


@pytest.mark.parametrize(("text", "expected"), [
    ("a cat", (2, 75)),
    ("a cat<lora:anything at all:1>", (2, 75)),
    ("one AND two words AND three", (2, 75)),
    ("[a cat:a very big cat:0.5]", (4, 75)),
    ("a [b|c d e] AND x [y:0.5]", (4, 75)),
    ("a cat :1.2", (2, 75)),
    (f"[cat:{'dog ' * 80}:5]", (80, 150)),
])
def test_count_is_the_longest_of_parts_and_entries(text: str, expected: tuple[int, int]) -> None:
    assert count(text, Tokenizer.clip(), 20) == expected


def spans(text: str, **options) -> dict[str, tuple[int, ...]]:
    return {word.text: word.positions for word in chunk(text, Tokenizer.clip(), **options).words}


def test_words_know_where_their_tokens_stand() -> None:
    assert spans("A (supercalifragilistic:1.2) cat, dog") == {
        "a": (1,), "supercalifragilistic": (2, 3, 4, 5, 6), "cat": (7,), ",": (8,), "dog": (9,)}


def test_words_are_counted_over_all_chunks_with_their_starts_and_ends() -> None:
    assert spans("cat BREAK dog") == {"cat": (1,), "dog": (78,)}
    long = chunk("one, " + "word " * 70 + ", two three four five six", Tokenizer.clip())
    tokens = [token for window in long for token in window.tokens]
    for word in long.words:
        assert [tokens[position] for position in word.positions] == Tokenizer.clip().ids(word.text)
    assert [word.text for word in long.words if word.text != "word"] == ["one", ",", ",", "two", "three", "four", "five", "six"]


def test_an_embedding_is_one_word() -> None:
    assert spans("a my style cat", embeddings={"my style": 3}) == {"a": (1,), "my style": (2, 3, 4), "cat": (5,)}
