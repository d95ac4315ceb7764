"""IP-Adapters (Ye et al. 2023): a picture as a prompt, which the cross-attentions look at beside the words.

The picture is projected once to a few vectors; each attention then adds, with the strength of the row, what it finds
in them by the query that it has for the words. Those for faces, FaceID and InstantID's, are made alike; FaceID's carry
a LoRA for all attentions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import torch
from diffusers.image_processor import IPAdapterMaskProcessor
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Members, Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.ip_adapter_projection import Projection
from backend.worker.adapters.lora_branches import Branches
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.models.device_transfer import move, tensors
from backend.worker.models.load_errors import loading
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from backend.worker.models.tensor_files import read_table

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

TABLES = ("image_proj", "ip_adapter")
_SIDES = ("down", "up")
_LORA_LAYERS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
_LOADS = count(1)
_STRANGE = (KeyError, IndexError, ValueError, RuntimeError, AttributeError, TypeError)


class KeyValue(nn.Module):
    """What one attention makes of the vectors of a picture."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        super().__init__()
        self.key = nn.Parameter(key, requires_grad=False)
        self.value = nn.Parameter(value, requires_grad=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (B, T, C) -> keys and values, (B, T, inner) each."""
        return tokens @ self.key.T, tokens @ self.value.T


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What all attentions make of pictures: keys and values by attention. A result of `Memory`'s.

    `of` are the pictures' vectors, which are known by their identity for as long as this is there.
    """

    of: Sequence[Tensor]
    pairs: Sequence[tuple[Tensor, Tensor]]

    @property
    def nbytes(self) -> int:
        """Memory that keys and values take."""
        return sum(key.nbytes + value.nbytes for key, value in self.pairs)


@dataclass(eq=False)
class IPAdapter(Recordable, ForSomeRows, LeavesWords):
    """A file in memory, in eval mode, for the networks of one size. Owned by `Memory`.

    A use has as its data the picture's vectors (T, C), how much each attention counts (A,) on the CPU, and, where only
    a part of the picture is meant, how much each place is, (h, w) in 0..1.
    """

    projection: Projection
    pairs: nn.ModuleList            # of `KeyValue`, in the order of the network's cross-attentions
    loras: nn.ParameterDict         # by `flat` path of a layer and "down" or "up"; empty where it carries none
    kept: ResultCache[Any] | None = None    # for what is made of the loras
    kept_words: ResultCache[Any] | None = None          # for what attentions make of pictures
    identity: int = field(init=False, default_factory=partial(next, _LOADS))

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

    def branches(self, model: Model, strength: float) -> Branches | None:
        """The LoRA that it carries, of this strength; None where there is none."""
        if not self.loras or not strength:
            return None
        layers = {path: self._layer(path, model) for path in dict.fromkeys(map(_path_of, self.loras))}
        key = model.identity, "ip_adapter", self.identity, self.device
        return Branches(layers, strength, key=key, kept=self.kept)

    def _layer(self, path: str, model: Model) -> FittedLayer:
        module, (down, up) = model.denoiser.get_submodule(path), (self.loras[_key(path, part)] for part in _SIDES)
        return FittedLayer(module, "lora", down.shape[1], {}, "", LowRank(down.data, up.data, 1.0))

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """See `Recordable.attachment`. An attention that counts nothing in any row is left as it is."""
        members, uses = Members.of(uses, self.device), [use for use in uses if use is not None]
        seen = self._seen([use.data[0] for use in uses])
        weights = torch.stack([use.data[1] * use.strength for use in uses])                                 # (n, A)
        counting = [number for number, counts in enumerate(weights.any(0).tolist()) if counts]
        pairs = [tensor for number in counting for tensor in seen.pairs[number]]
        places = [torch.stack([use.data[2] for use in uses]).to(seen.pairs[0][0])] if len(uses[0].data) > 2 else []
        numbers = [] if members.numbers is None else [members.numbers]
        read = [weights.to(self.device, non_blocking=True), *pairs, *places, *numbers]
        attach = partial(_attached, model, counting, members, bool(places))
        return Attachment(read, attach, ("picture", len(uses), tuple(counting), bool(places), layout(read)))

    def _seen(self, pictures: Sequence[Tensor]) -> Seen:
        """Of the vectors (T, C) of the rows' pictures, made once for as long as they are kept."""
        def made() -> Seen:
            tokens = torch.stack(list(pictures)).to(self.device, self.pairs[0].key.dtype)                   # (n, T, C)
            return Seen(pictures, [pair(tokens) for pair in self.pairs])

        key = "picture", self.identity, self.device, *map(id, pictures)
        return self.kept_words.get(key, made) if self.kept_words else made()

    def _networks(self) -> list[nn.Module]:
        return [self.projection.network, self.pairs, self.loras]


@contextmanager
def _attached(
    model: Model, counting: Sequence[int], members: Members, placed: bool, tensors: Sequence[Tensor]
) -> Iterator[None]:
    """`tensors`: weights (n, A), keys and values of the attentions that are `counting`, places, numbers of rows."""
    weights, *rest = tensors
    made, rest = rest[: 2 * len(counting)], rest[2 * len(counting) :]
    places = rest[0] if placed else None
    members = members if members.numbers is None else members.at(rest[-1])
    modules = cross_attentions(model.denoiser)
    before = [module.processor for module in modules]
    try:
        for number, key, value in zip(counting, made[::2], made[1::2], strict=True):
            strengths = weights[:, number].view(-1, 1, 1)
            modules[number].processor = _Beside(before[number], (key, value), members, strengths, places)
        yield
    finally:
        for module, processor in zip(modules, before, strict=True):
            module.processor = processor


@dataclass(slots=True, eq=False)
class _Beside:
    """An attention's processor with what it finds in a picture added to what it finds in the words."""

    words: Any
    pair: tuple[Tensor, Tensor]
    members: Members
    strengths: Tensor           # (n, 1, 1)
    places: Tensor | None       # (n, h, w)

    def __call__(self, attention: nn.Module, *given: Any, **named: Any) -> Tensor:
        queries: list[Tensor] = []

        def added(module: nn.Module, found: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            beside = _looked(self.members.part(queries[-1]), *self.pair, attention.heads)
            if self.places is not None:
                beside = beside * IPAdapterMaskProcessor.downsample(self.places, *beside.shape[:2], 1)
            return self.members.added(found[0], beside * self.strengths.to(beside)), *found[1:]

        # What is registered last sees the query as other changes of the layer have left it.
        handles = [attention.to_q.register_forward_hook(lambda module, given, query: queries.append(query)),
                   attention.to_out[0].register_forward_pre_hook(added)]
        try:
            return self.words(attention, *given, **named)
        finally:
            for handle in handles:
                handle.remove()


def _looked(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """query (B, N, inner), key and value (B, T, inner) -> (B, N, inner)."""
    q, k, v = (each.view(len(query), -1, heads, query.shape[-1] // heads).transpose(1, 2)
               for each in (query, key, value))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(query.shape)


def cross_attentions(network: nn.Module) -> list[nn.Module]:
    """Those that look at the words, in the order in which files number them: down, up, middle."""
    names = [name.removesuffix(".processor") for name in network.attn_processors if name.endswith("attn2.processor")]
    return [network.get_submodule(name) for name in names]


def load(file: ModelFile, model: Model) -> IPAdapter:
    """Read a file for this model. Raises CheckpointError, whose sentence names it."""
    with loading(file) as path:
        image, attentions = _tables(read_table(path))
        try:
            network = model.denoiser._convert_ip_adapter_image_proj_to_diffusers(image, low_cpu_mem_usage=False)
        except _STRANGE as error:
            raise CheckpointError("its projection is of a kind that Easel does not know") from error
        pairs = nn.ModuleList(_pairs(attentions, model))
        loras = nn.ParameterDict(_loras(attentions, model))
    placement = model.placement
    for each in (network, pairs, loras):
        each.to(placement.device, placement.unet).eval().requires_grad_(False)
    return IPAdapter(Projection(network, file.facts["sees"], file.facts.get("shortcut", False)), pairs, loras)


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


def _loras(named: Mapping[str, Tensor], model: Model) -> Iterator[tuple[str, Tensor]]:
    """Those of every attention, to words and to the picture itself, which files number together."""
    for number, name in enumerate(model.denoiser.attn_processors):
        for part, layer in _LORA_LAYERS.items():
            path = name.removesuffix("processor") + layer
            for side in _SIDES:
                tensor = named.get(f"{number}.to_{part}_lora.{side}.weight")
                if tensor is not None:
                    yield _key(path, side), tensor


def _key(path: str, side: str) -> str:
    """A parameter's name has no dots."""
    return f"{path.replace('.', '/')}/{side}"


def _path_of(key: str) -> str:
    return key.rpartition("/")[0].replace("/", ".")


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
