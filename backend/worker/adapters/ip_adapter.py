"""IP-Adapters (Ye et al. 2023): a picture as a prompt, which the cross-attentions look at beside the words.

The picture is projected once to a few vectors; each attention then adds, with the strength of the row, what it finds
in them by the query that it has for the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.adapters.adapter import Use
from backend.worker.models.base import Model
from backend.worker.models.clip_vision import Seen
from backend.worker.models.device_transfer import move, tensors
from backend.worker.models.tensor_files import read_table

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

TABLES = ("image_proj", "ip_adapter")
PLAIN = "proj.weight"           # there in files that look at the embedding alone
_STRANGE = (KeyError, IndexError, ValueError, RuntimeError, AttributeError, TypeError)


class KeyValue(nn.Module):
    """What one attention makes of the vectors of a picture."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        super().__init__()
        self.key = nn.Parameter(key, requires_grad=False)
        self.value = nn.Parameter(value, requires_grad=False)

    def forward(self, query: Tensor, tokens: Tensor, heads: int) -> Tensor:
        """query (B, N, inner), tokens (B, T, C) -> (B, N, inner)."""
        rows = len(query)
        q, k, v = (each.view(rows, -1, heads, query.shape[-1] // heads).transpose(1, 2)
                   for each in (query, tokens @ self.key.T, tokens @ self.value.T))
        return scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(query.shape)


@dataclass(frozen=True, slots=True, eq=False)
class PicturePrompt:
    """The vectors (T, C), float32, of a picture and of `none`."""

    picture: Tensor
    none: Tensor

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.picture.nbytes + self.none.nbytes


@dataclass(eq=False)
class IPAdapter:
    """A file in memory, in eval mode, for the networks of one size. Owned by `Memory`.

    A use has the picture's vectors (T, C) as its data. `plain`: they are made of the embedding, and of zeros for none.
    """

    projection: nn.Module
    pairs: nn.ModuleList            # of `KeyValue`, in the order of the network's cross-attentions
    plain: bool

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return sum(tensor.nbytes for network in self._networks() for tensor in tensors(network))

    @property
    def device(self) -> torch.device:
        return self.pairs[0].key.device

    def to(self, device: torch.device) -> Self:
        """Move it. Where memory runs out it is back where it was."""
        move(self._networks(), device)
        return self

    def projected(self, seen: Seen, nothing: Seen) -> PicturePrompt:
        """What it makes of a picture, and of none."""
        shown = (seen.embedding, torch.zeros_like(seen.embedding)) if self.plain else (seen.inner, nothing.inner)
        dtype = self.pairs[0].key.dtype
        return PicturePrompt(*(self.projection(each.to(self.device, dtype))[0].float() for each in shown))

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        tokens = torch.stack([use.data[0] for use in uses]).to(self.device, self.pairs[0].key.dtype)        # (B, T, C)
        strengths = torch.tensor([use.strength for use in uses], device=tokens.device).view(-1, 1, 1)
        modules = cross_attentions(model.denoiser)
        before = [module.processor for module in modules]
        try:
            for module, pair in zip(modules, self.pairs, strict=True):
                module.processor = _Beside(module.processor, pair, tokens, strengths)
            yield
        finally:
            for module, processor in zip(modules, before, strict=True):
                module.processor = processor

    def _networks(self) -> list[nn.Module]:
        return [self.projection, self.pairs]


@dataclass(slots=True, eq=False)
class _Beside:
    """An attention's processor with what it finds in a picture added to what it finds in the words."""

    words: Any
    pair: KeyValue
    tokens: Tensor
    strengths: Tensor

    def __call__(self, attention: nn.Module, *given: Any, **named: Any) -> Tensor:
        queries: list[Tensor] = []

        def added(module: nn.Module, found: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            beside = self.pair(queries[-1], self.tokens, attention.heads)
            return found[0] + beside * self.strengths.to(beside), *found[1:]

        # What is registered last sees the query as other changes of the layer have left it.
        handles = [attention.to_q.register_forward_hook(lambda module, given, query: queries.append(query)),
                   attention.to_out[0].register_forward_pre_hook(added)]
        try:
            return self.words(attention, *given, **named)
        finally:
            for handle in handles:
                handle.remove()


def cross_attentions(network: nn.Module) -> list[nn.Module]:
    """Those that look at the words, in the order in which files number them: down, up, middle."""
    names = [name.removesuffix(".processor") for name in network.attn_processors if name.endswith("attn2.processor")]
    return [network.get_submodule(name) for name in names]


def load(file: ModelFile, model: Model) -> IPAdapter:
    """Read a file for this model. Raises CheckpointError, whose sentence names it."""
    try:
        if not Path(file.path).exists():
            raise CheckpointError("it is no longer there")
        image, attentions = _tables(read_table(Path(file.path)))
        try:
            projection = model.denoiser._convert_ip_adapter_image_proj_to_diffusers(image, low_cpu_mem_usage=False)
        except _STRANGE as error:
            raise CheckpointError("its projection is of a kind that Easel does not know") from error
        pairs = nn.ModuleList(_pairs(attentions, model))
    except CheckpointError as error:
        raise CheckpointError(f"{file.key} cannot be loaded: {error.problems[0].message}") from error
    placement = model.placement
    for network in (projection, pairs):
        network.to(placement.device, placement.unet).eval().requires_grad_(False)
    return IPAdapter(projection, pairs, PLAIN in image)


def _pairs(named: Mapping[str, Tensor], model: Model) -> Iterator[KeyValue]:
    modules = cross_attentions(model.denoiser)
    numbers = sorted(int(name.partition(".")[0]) for name in named if name.endswith(".to_k_ip.weight"))
    if len(numbers) != len(modules):
        raise CheckpointError(f"it is for networks of {len(numbers)} cross-attentions, and {model.checkpoint.key} has "
                              f"{len(modules)}")
    for number, module in zip(numbers, modules, strict=True):
        key, value = (named.get(f"{number}.to_{part}_ip.weight") for part in "kv")
        if key is None or value is None or key.shape != value.shape or key.shape[0] != module.to_q.weight.shape[0]:
            raise CheckpointError("its attentions are of another size than the network's")
        yield KeyValue(key, value)


def _tables(found: Mapping[str, Any]) -> list[dict[str, Tensor]]:
    """The two tables of a file: nested in .bin, by prefixes in .safetensors. Raises CheckpointError."""
    tables = []
    for table in TABLES:
        inner = found.get(table)
        flat = {name.removeprefix(f"{table}."): value for name, value in found.items() if name.startswith(f"{table}.")}
        tables.append({name: value for name, value in (inner if isinstance(inner, Mapping) else flat).items()
                       if isinstance(value, Tensor)})
    if not all(tables):
        raise CheckpointError("it is no IP-Adapter: it lacks image_proj or ip_adapter")
    return tables
