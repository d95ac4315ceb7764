"""A text as CLIP's text encoders read it: in chunks, with its emphasis, and with embeddings where their names stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.prompt.chunks import Chunk, chunk, equally_many
from backend.prompt.tokenizer import Tokenizer
from backend.worker.models.emphasis import apply_emphasis
from backend.worker.models.encoded_text import Embeddings, Encoded, TextSettings


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A text encoder and its tokenizer. `run` gives its states (n, 77, C) for n chunks, and pooled (n, P) or None."""

    tokenizer: Tokenizer
    encoder: nn.Module
    run: Callable[[Sequence[Chunk]], tuple[Tensor, Tensor | None]]


def read(text: str, readers: Sequence[Reader], settings: TextSettings, embeddings: Embeddings) -> Encoded:
    """Tokens (77n, C) of n chunks, by all readers side by side, each with its own emphasis.

    The last reader pools the first chunk, if it pools. Words stand where the first one reads them; others differ only
    in special words typed out.
    """
    counts = {name: len(each.vectors[0]) for name, each in embeddings.items()}
    chunked = [chunk(text, each.tokenizer, emphasis=settings.emphasis, embeddings=counts) for each in readers]
    parts, pooled = [], None
    for number, (reader, chunks) in enumerate(zip(readers, equally_many(chunked), strict=True)):
        vectors = {name: each.vectors[number] for name, each in embeddings.items()}
        with _inserted(reader.encoder, chunks, vectors):
            states, pooled = reader.run(chunks)
        multipliers = torch.tensor([each.multipliers for each in chunks], device=states.device)
        parts.append(apply_emphasis(states.float(), multipliers, settings.emphasis))
    tokens = torch.cat(parts, dim=-1).flatten(0, 1)
    used = tuple(dict.fromkeys(name for each in chunked[0] for _, name in each.fixes))
    return Encoded(tokens, None if pooled is None else pooled[0].float(), chunked[0].words, used)


@contextmanager
def _inserted(encoder: nn.Module, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor]) -> Iterator[None]:
    """While a batch of chunks is encoded, the embeddings in it stand where their tokens are, each as its vectors.

    They are put in behind the table of tokens, so that no token id is one of theirs.
    """
    fixes = ((number, fix) for number, chunk in enumerate(chunks) for fix in chunk.fixes)
    places = [(number, offset + 1, vectors[name]) for number, (offset, name) in fixes]

    def put(table: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        for number, start, held in places:
            output[number, start : start + len(held)] = held.to(output)
        return output

    handle = encoder.get_input_embeddings().register_forward_hook(put) if places else None
    try:
        yield
    finally:
        if handle:
            handle.remove()
