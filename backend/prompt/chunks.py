"""Prompt text to the fixed-size token windows that a CLIP text encoder reads.

Any length is allowed: the text is cut into chunks of 75 tokens, each encoded on its own. Rules as in AUTOMATIC1111's
`sd_hijack_clip`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.prompt.grammar import BREAK, Wording, parse_weights, split_and
from backend.prompt.prompt_editing import timeline
from backend.prompt.tokenizer import Tokenizer

CHUNK_LENGTH = 75

Emphasis = Literal["Original", "No norm", "Ignore", "None"]


NO_WORD = -1


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, and at which positions its tokens stand, counted over all chunks with their starts and ends."""

    text: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Chunk:
    """One window: 77 token ids (start, 75, end), the emphasis of each, and where embeddings go: (offset, name) with
    offset counted from 0 after the start token. `words`: the number of each token's word, or NO_WORD."""

    tokens: list[int]
    multipliers: list[float]
    fixes: list[tuple[int, str]] = field(default_factory=list)
    words: list[int] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Chunks:
    """The chunks of one text, at least one. `token_count` counts what the text uses, closed chunks as 75."""

    chunks: tuple[Chunk, ...]
    token_count: int
    texts: tuple[str, ...] = ()         # of the words, by number

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word in reading order, each time it occurs; an embedding is one word."""
        positions: dict[int, list[int]] = {}
        for position, number in enumerate(number for chunk in self.chunks for number in chunk.words):
            if number != NO_WORD:
                positions.setdefault(number, []).append(position)
        return tuple(Word(self.texts[number], tuple(where)) for number, where in positions.items())

    @property
    def target_token_count(self) -> int:
        """`token_count` rounded up to whole chunks, at least one."""
        return -(-max(self.token_count, 1) // CHUNK_LENGTH) * CHUNK_LENGTH

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self.chunks)

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Chunk:
        return self.chunks[index]


@dataclass
class _Open:
    """The chunk being filled: up to 75 tokens, without start and end."""

    tokens: list[int] = field(default_factory=list)
    multipliers: list[float] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    fixes: list[tuple[int, str]] = field(default_factory=list)
    last_comma: int | None = None

    def room(self) -> int:
        return CHUNK_LENGTH - len(self.tokens)

    def add(self, tokens: list[int], weight: float, word: int) -> None:
        self.tokens += tokens
        self.multipliers += [weight] * len(tokens)
        self.words += [word] * len(tokens)

    def split(self, at: int) -> "_Open":
        """Cut off what follows position `at` and return it as the start of another chunk."""
        moved = [(offset - at, name) for offset, name in self.fixes if offset >= at]
        rest = _Open(self.tokens[at:], self.multipliers[at:], self.words[at:], moved)
        self.fixes = [fix for fix in self.fixes if fix[0] < at]
        del self.tokens[at:], self.multipliers[at:], self.words[at:]
        return rest

    def closed(self, start: int, end: int) -> Chunk:
        after = self.room() + 1
        return Chunk(
            tokens=[start, *self.tokens, *[end] * after],
            multipliers=[1.0, *self.multipliers, *[1.0] * after],
            fixes=self.fixes,
            words=[NO_WORD, *self.words, *[NO_WORD] * after],
        )


class _Embeddings:
    """Finds the names of textual inversion embeddings among tokens; the longest name wins."""

    def __init__(self, vectors: Mapping[str, int], tokenizer: Tokenizer) -> None:
        self._by_first: dict[int, list[tuple[list[int], str, int]]] = {}
        for name, count in vectors.items():
            ids = tokenizer.ids(name)
            if ids:
                self._by_first.setdefault(ids[0], []).append((ids, name, min(count, CHUNK_LENGTH)))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: len(entry[0]), reverse=True)

    def find(self, tokens: list[int], position: int) -> tuple[list[int], str, int] | None:
        """The ids, name and vector count of the embedding that starts at `position`."""
        for entry in self._by_first.get(tokens[position], ()):
            if tokens[position : position + len(entry[0])] == entry[0]:
                return entry
        return None


class _Chunker:
    """Fills one chunk after the other with the pieces of a text."""

    def __init__(self, tokenizer: Tokenizer, comma_padding_backtrack: int, embeddings: Mapping[str, int]) -> None:
        self.tokenizer = tokenizer
        self.backtrack = comma_padding_backtrack
        self.embeddings = _Embeddings(embeddings, tokenizer)
        self.open = _Open()
        self.done: list[Chunk] = []
        self.texts: list[str] = []

    def close(self, rest: _Open | None = None) -> None:
        self.done.append(self.open.closed(self.tokenizer.start, self.tokenizer.end))
        self.open = rest or _Open()

    def add_text(self, text: str, weight: float) -> None:
        words = self.tokenizer.words(text)
        tokens = [token for _, ids in words for token in ids]
        numbers = [len(self.texts) + number for number, (_, ids) in enumerate(words) for _ in ids]
        self.texts += [word for word, _ in words]
        position = 0
        while position < len(tokens):
            self._make_room(tokens[position])
            embedding = self.embeddings.find(tokens, position)
            if embedding:
                ids, name, vectors = embedding
                self._add_embedding(name, vectors, weight)
                position += len(ids)
            else:
                self.open.add([tokens[position]], weight, numbers[position])
                position += 1

    def _make_room(self, token: int) -> None:
        """Close a full chunk; what follows a recent comma moves on, unless the next token is a comma itself."""
        comma = self.open.last_comma
        if self.open.room():
            if token == self.tokenizer.comma:
                self.open.last_comma = len(self.open.tokens)
        elif token != self.tokenizer.comma and comma is not None and CHUNK_LENGTH - comma <= self.backtrack:
            self.close(self.open.split(comma + 1))
        else:
            self.close()

    def _add_embedding(self, name: str, vectors: int, weight: float) -> None:
        if vectors > self.open.room():
            self.close()
        self.open.fixes.append((len(self.open.tokens), name))
        self.open.add([0] * vectors, weight, len(self.texts))
        self.texts.append(name)

    def finish(self) -> Chunks:
        count = CHUNK_LENGTH * len(self.done) + len(self.open.tokens)
        if self.open.tokens or not self.done:
            self.close()
        return Chunks(tuple(self.done), count, tuple(self.texts))


def chunk(
    text: str,
    tokenizer: Any,
    *,
    comma_padding_backtrack: int = 20,
    emphasis: Emphasis = "Original",
    embeddings: Mapping[str, int] | None = None,
) -> Chunks:
    """Cut one text (no AND, no timeline) into chunks.

    `tokenizer` is a `Tokenizer`, or anything that `Tokenizer.of` takes. When a chunk is full, the words since the last
    comma move to the next one if that comma is at most `comma_padding_backtrack` tokens back. The word BREAK closes a
    chunk. With `emphasis` "None" the text is taken literally. `embeddings` maps names to vector counts; an embedding is
    written as that many zeros, at most 75, and never cut in two.
    """
    chunker = _Chunker(Tokenizer.of(tokenizer), comma_padding_backtrack, embeddings or {})
    for piece in [(text, 1.0)] if emphasis == "None" else parse_weights(text):
        if piece == BREAK:
            chunker.close()
        else:
            chunker.add_text(*piece)
    return chunker.finish()


def pad_after_end(tokens: list[int], tokenizer: Tokenizer) -> list[int]:
    """What the text encoder is fed for a chunk's tokens: everything after the first end becomes the tokenizer's `pad`,
    0 for OpenCLIP encoders (SD2, the second one of SDXL). Where `pad` is the end token nothing changes."""
    if tokenizer.pad == tokenizer.end:
        return tokens
    length = tokens.index(tokenizer.end) + 1
    return tokens[:length] + [tokenizer.pad] * (len(tokens) - length)


def equally_many(read: Sequence[Chunks]) -> list[list[Chunk]]:
    """The chunks of one text as several tokenizers read it, with empty ones behind where there are fewer."""
    most = max(len(chunks) for chunks in read)
    return [[*chunks, *[_empty(chunks[0])] * (most - len(chunks))] for chunks in read]


def _empty(like: Chunk) -> Chunk:
    """A chunk without words, for the tokenizer of another one."""
    start, end = like.tokens[0], like.tokens[-1]
    return Chunk([start, *[end] * (CHUNK_LENGTH + 1)], [1.0] * (CHUNK_LENGTH + 2))


def token_count(text: str, tokenizer: Any, embeddings: Mapping[str, int] | None = None) -> tuple[int, int]:
    """Tokens that one text uses, and the room of the chunks that hold them. `embeddings` as for `chunk`."""
    chunks = chunk(text, tokenizer, embeddings=embeddings)
    return chunks.token_count, chunks.target_token_count


def count(
    text: str, tokenizer: Any, steps: int, embeddings: Mapping[str, int] | None = None
) -> tuple[int, int]:
    """The largest `token_count` of a whole prompt over its AND parts and its timeline of `steps` steps."""
    parts = {part for part, _ in split_and(text)}
    texts = {Wording.of(entry).text for part in parts for _, entry in timeline(part, steps)}
    return max(token_count(entry, tokenizer, embeddings) for entry in texts)
