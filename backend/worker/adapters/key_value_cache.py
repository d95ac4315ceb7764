"""Keys and values of the words: a cross-attention makes the same of them at every step, so they are made once.

What is kept is what a whole call gave for its rows, so its bits are those that the call would give again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from backend.worker.adapters.attachment import NOTHING, Attachment, layout
from backend.worker.models.result_cache import ResultCache

ATTENTION, SIDES = "attn2", ("to_k", "to_v")        # diffusers' names
_NUMBERS = count(1)


class Made(nn.Module):
    """In the place of a layer: gives what that has given."""

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made

    def forward(self, seen: Tensor) -> Tensor:
        return self.made


@dataclass(frozen=True, slots=True, eq=False)
class KeysValues:
    """What each projection of a network gave for the words of a call's rows, (B, T, inner). A result of `Memory`'s."""

    tensors: Sequence[Tensor]
    made: Sequence[Made] = field(init=False)
    structure: Hashable = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "made", list(map(Made, self.tensors)))
        object.__setattr__(self, "structure", layout(self.tensors))

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(tensor.nbytes for tensor in self.tensors)


KeptWords = ResultCache[KeysValues]


@dataclass(frozen=True, slots=True, eq=False)
class _Projections:
    """(attention, name) of all projections of words in a network, and which network of this process it is."""

    places: Sequence[tuple[nn.Module, str]]
    number: int = field(default_factory=partial(next, _NUMBERS))

    @property
    def modules(self) -> list[nn.Module]:
        return [getattr(attention, name) for attention, name in self.places]


_KNOWN: WeakKeyDictionary[nn.Module, _Projections] = WeakKeyDictionary()


def words_kept(network: nn.Module, key: Hashable, kept: KeptWords | None) -> Attachment:
    """For one call of a network, whose words and all that changes what is made of them are told by `key`.

    To be attached last. Where `key` or `kept` is None nothing is kept. The call in which they are made is not recorded.
    """
    if kept is None or key is None:
        return NOTHING
    projections = _projections(network)
    whole = projections.number, key
    known = kept.find(whole)
    if known is None:
        return Attachment((), partial(_made_and_kept, projections, whole, kept))
    return Attachment(known.tensors, partial(_instead, projections, known), known.structure)


@contextmanager
def _made_and_kept(
    projections: _Projections, whole: Hashable, kept: KeptWords, tensors: Sequence[Tensor]
) -> Iterator[None]:
    made: dict[int, Tensor] = {}
    with _heard(projections.modules, made):
        yield
    if len(made) == len(projections.places):
        kept.get(whole, lambda: KeysValues([made[number] for number in range(len(made))]))


def _projections(network: nn.Module) -> _Projections:
    if network not in _KNOWN:
        found = [module for path, module in network.named_modules() if path.rpartition(".")[2] == ATTENTION]
        _KNOWN[network] = _Projections([(module, side) for module in found for side in SIDES])
    return _KNOWN[network]


@contextmanager
def _instead(projections: _Projections, known: KeysValues, tensors: Sequence[Tensor]) -> Iterator[None]:
    """Hooks of the projections rest meanwhile, too."""
    before = projections.modules
    try:
        same = all(one is other for one, other in zip(tensors, known.tensors, strict=True))
        _put(projections, known.made if same else list(map(Made, tensors)))
        yield
    finally:
        _put(projections, before)


def _put(projections: _Projections, modules: Sequence[nn.Module]) -> None:
    for (attention, name), module in zip(projections.places, modules, strict=True):
        setattr(attention, name, module)


@contextmanager
def _heard(modules: Sequence[nn.Module], made: dict[int, Tensor]) -> Iterator[None]:
    """`made` is filled with what they give, by number, as other hooks have left it."""

    def hear(number: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def heard(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
            made[number] = found

        return heard

    with ExitStack() as hooked:
        for number, module in enumerate(modules):
            hooked.callback(module.register_forward_hook(hear(number)).remove)
        yield
