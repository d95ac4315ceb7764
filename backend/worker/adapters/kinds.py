"""The kinds of adapters that a prompt can name, as `<kind:arguments>`. Each kind is a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backend.prompt.grammar import Network
from backend.table import Table
from backend.worker.adapters.adapter import Use
from backend.worker.models.model_base import Model


@dataclass(frozen=True, slots=True)
class AdapterKind:
    """`use(network, model)` gives the loaded adapter that a prompt names, and how strongly it is used."""

    name: str
    use: Callable[[Network, Model], Use]


ADAPTERS: Table[AdapterKind] = Table("adapters")


def uses_of(networks: Iterable[Network], model: Model) -> tuple[Use, ...]:
    """What the networks of a wording stand for, in its order; those of unknown kinds are left out."""
    return tuple(ADAPTERS[network.kind].use(network, model) for network in networks if network.kind in ADAPTERS)
