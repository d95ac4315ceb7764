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

from backend.worker.models.result_cache import ResultCache

ATTENTION, SIDES = "attn2", ("to_k", "to_v")        # diffusers' names
_NUMBERS = count(1)


class _Made(nn.Module):
    """In the place of a projection: gives what that has given."""

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made

    def forward(self, words: Tensor) -> Tensor:
        return self.made


@dataclass(frozen=True, slots=True, eq=False)
class KeysValues:
    """What each projection of a network gave for the words of a call's rows, (B, T, inner). A result of `Memory`'s."""

    made: Sequence[_Made]

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(each.made.nbytes for each in self.made)


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


@contextmanager
def words_kept(network: nn.Module, key: Hashable, kept: KeptWords | None) -> Iterator[None]:
    """For one call of a network, whose words and all that changes what is made of them are told by `key`.

    To be entered last, when everything else is attached. Where `key` or `kept` is None nothing is kept.
    """
    if kept is None or key is None:
        yield
        return
    projections = _projections(network)
    whole = projections.number, key
    known = kept.find(whole)
    if known is not None:
        with _instead(projections, known.made):
            yield
        return
    made: dict[int, Tensor] = {}
    with _heard(projections.modules, made):
        yield
    if len(made) == len(projections.places):
        kept.get(whole, lambda: KeysValues([_Made(made[number]) for number in range(len(made))]))


def _projections(network: nn.Module) -> _Projections:
    if network not in _KNOWN:
        found = [module for path, module in network.named_modules() if path.rpartition(".")[2] == ATTENTION]
        _KNOWN[network] = _Projections([(module, side) for module in found for side in SIDES])
    return _KNOWN[network]


@contextmanager
def _instead(projections: _Projections, made: Sequence[nn.Module]) -> Iterator[None]:
    """Hooks of the projections rest meanwhile, too."""
    before = projections.modules
    try:
        _put(projections, made)
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
