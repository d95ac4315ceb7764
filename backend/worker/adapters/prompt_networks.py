"""The networks that a prompt names, loaded: what they do to the rows and to the text encoders of a model."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from backend.prompt.block_weights import BASE, weight_of
from backend.prompt.network_terms import HYPERNET, Applied
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.hypernetwork import Hypernetwork, HypernetworkUse
from backend.worker.adapters.lora_branches import Branches, attached
from backend.worker.adapters.merged import MergedSet, MergedUse
from backend.worker.adapters.network_file import NetworkFile
from backend.worker.models.encoded_text import Embeddings
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model

UNET = "unet"


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What networks do to one component of a model: branches beside some layers, new weights for others."""

    branches: tuple[Branches | HypernetworkUse, ...] = ()
    merged: MergedSet | None = None

    @property
    def uses(self) -> tuple[Use, ...]:
        """The part that rows of one call must share."""
        return (MergedUse(self.merged),) if self.merged else ()


@dataclass(frozen=True, slots=True, eq=False)
class NetworkTextChange:
    """What networks do to the text encoders of a model: see `encoded_text.TextChange`."""

    key: Hashable
    components: Sequence[Changes]
    words: Embeddings

    @contextmanager
    def attached(self) -> Iterator[None]:
        """For the reading of one text."""
        with ExitStack() as stack:
            for changes in self.components:
                if changes.merged:
                    stack.enter_context(changes.merged.weights().attached())
                if changes.branches:
                    stack.enter_context(attached([changes.branches]))
            yield


@dataclass(frozen=True, slots=True, eq=False)
class PromptNetworks:
    """The loaded files by the names that a prompt has for them, on one model; `memory` holds what is made of them."""

    model: Model
    files: Mapping[tuple[str, str], NetworkFile | Hypernetwork] = field(default_factory=dict)
    memory: Memory | None = field(default=None, repr=False)

    def unet(self, applied: Sequence[Applied]) -> Changes:
        """What these do to the denoiser."""
        layered = [(one, one.unet) for one in applied if one.kind != HYPERNET]
        changes = self._changes(UNET, layered)
        before = [HypernetworkUse(self.files[one.kind, one.name], one.unet) for one in applied
                  if one.kind == HYPERNET and one.unet]
        return Changes((*changes.branches, *before), changes.merged)

    def text(self, applied: Iterable[Applied]) -> NetworkTextChange | None:
        """What these do to the text encoders; None where it is nothing."""
        strengths = [(one, one.te * weight_of(one.blocks, BASE)) for one in applied if one.kind != HYPERNET]
        heard = [(one, strength) for one, strength in strengths if strength]
        components = [self._changes(name, heard) for name in self.model.adapted() if name != UNET]
        words = self._words(one for one, _ in strengths)
        if not words and not any(changes.branches or changes.merged for changes in components):
            return None
        return NetworkTextChange(tuple(self._key(one, strength) for one, strength in heard), components, words)

    def _words(self, applied: Iterable[Applied]) -> Embeddings:
        """The embeddings that lie in the files of networks which are in force."""
        files = [self.files[one.kind, one.name] for one in applied]
        found = {name: file.on(self.model.word_widths) for network in files for name, file in network.bundled.items()}
        return {name: word for name, word in found.items() if word}

    def _changes(self, component: str, applied: Sequence[tuple[Applied, float]]) -> Changes:
        uses = [(self._key(one, strength), self._branches(component, one, strength)) for one, strength in applied
                if strength]
        uses = [(key, use) for key, use in uses if use.layers]
        dense = {path for _, use in uses for path, layer in use.layers.items() if not layer.branch}
        if not dense:
            return Changes(tuple(use for _, use in uses))
        merged = [(key, _restricted(use, dense)) for key, use in uses if not dense.isdisjoint(use.layers)]
        key = self.model.identity, component, tuple(key for key, _ in merged)
        beside = (_without(use, dense, key) for _, use in uses)
        return Changes(tuple(use for use in beside if use.layers),
                       MergedSet(self.model, [use for _, use in merged], key, self.memory))

    def _branches(self, component: str, one: Applied, strength: float) -> Branches:
        fitted = self.files[one.kind, one.name].on(self.model)
        blocks = one.blocks if component == UNET else ()
        key = self.model.identity, component, self.files[one.kind, one.name].identity, one.dyn, blocks
        kept = self.memory.stacked if self.memory else None
        return Branches(fitted.layers.get(component, {}), strength, one.dyn, blocks, key, kept)

    def _key(self, one: Applied, strength: float) -> Hashable:
        return self.files[one.kind, one.name].identity, strength, one.dyn, one.blocks


def _restricted(use: Branches, paths: Set[str], why: Hashable = None) -> Branches:
    """The part of it that changes these layers; `why` tells it from other parts."""
    layers = {path: layer for path, layer in use.layers.items() if path in paths}
    return replace(use, layers=layers, key=(use.key, why))


def _without(use: Branches, paths: Set[str], why: Hashable) -> Branches:
    return _restricted(use, use.layers.keys() - paths, why)
