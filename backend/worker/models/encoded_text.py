"""What a text becomes for a network: vectors, with the place of each word among them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Literal, Protocol, Self

import torch
from torch import Tensor

from backend.prompt.chunks import Word

Role = Literal["cond", "uncond"]
"""Whether a text says what to draw or what to keep away from."""


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How a text is read, as far as the family listens: equal settings of one model give equal encodings.

    `clip_skip` counts from 1 (all layers); `emphasis` is one of request.EMPHASIS; `size` is (height, width) in pixels
    that the network is told, (0, 0) for families that do not look at it.
    """

    clip_skip: int = 1
    emphasis: str = "Original"
    role: Role = "cond"
    size: tuple[int, int] = (0, 0)


PLAIN = TextSettings()



@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A word that is vectors of its own: (n, width) for each text encoder of a model. `identity`: which one it is."""

    vectors: tuple[Tensor, ...]
    identity: int = field(default_factory=partial(next, count(1)))


Embeddings = Mapping[str, Embedding]
"""By the names that texts have for them."""

NO_EMBEDDINGS: Embeddings = MappingProxyType({})


class TextChange(Protocol):
    """What changes the text encoders while a text is read; equal keys of one model change them alike.

    `words` are embeddings that come with it.
    """

    @property
    def key(self) -> Hashable: ...

    @property
    def words(self) -> Embeddings: ...

    def attached(self) -> AbstractContextManager[None]: ...


def key_of(change: TextChange | None) -> Hashable:
    """None where nothing is changed."""
    return change.key if change else None


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One text for one family: `tokens` (T, D) for cross-attention, and `pooled` (P,) where the family has it.

    `words` tells which of the T vectors stand for which word of the text, `embeddings` the names of those in it.

    All float32 on the model's device. A batch of them has one more dimension in front of each.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    words: tuple[Word, ...] = ()
    embeddings: tuple[str, ...] = ()
    identity: int = field(init=False, default_factory=partial(next, count(1)))
    """Which encoding of this process it is."""
    _longer: dict[int, Self] = field(init=False, repr=False, default_factory=dict)

    @property
    def kind(self) -> tuple[int, ...]:
        """Encodings of one kind fit into one call: T, D and P."""
        return (*self.tokens.shape, 0 if self.pooled is None else len(self.pooled))

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        return self.tokens.nbytes + (0 if self.pooled is None else self.pooled.nbytes)

    def padded(self, length: int) -> Self:
        """At least `length` vectors: the last one is repeated, as AUTOMATIC1111's stack_conds does. Never `pooled`.

        The same encoding each time.
        """
        missing = length - len(self.tokens)
        if missing <= 0:
            return self
        if length not in self._longer:
            more = self.tokens[-1:].expand(missing, -1)
            self._longer[length] = replace(self, tokens=torch.cat([self.tokens, more]))
        return self._longer[length]


def equally_long(texts: Sequence[Encoded]) -> list[Encoded]:
    """All padded to the longest."""
    longest = max(len(text.tokens) for text in texts)
    return [text.padded(longest) for text in texts]


def stacked(texts: Sequence[Encoded]) -> Encoded:
    """Encodings of one kind as a batch: tokens (B, T, D) and pooled (B, P)."""
    pooled = [text.pooled for text in texts if text.pooled is not None]
    return Encoded(torch.stack([text.tokens for text in texts]), torch.stack(pooled) if pooled else None)
