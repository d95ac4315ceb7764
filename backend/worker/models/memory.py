"""The only owner of loaded networks, and the one budget that they and kept results share."""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import psutil
import torch
from torch import nn

from backend.catalog.fingerprints import Fingerprint, fingerprint
from backend.catalog.model_file import CHECKPOINT, VAE, ModelFile
from backend.errors import OutOfMemory, Problem
from backend.worker.device import Placement
from backend.worker.models.cancellation import heed
from backend.worker.models.graph_capture import graph_kind
from backend.worker.models.graph_replay import Recordings
from backend.worker.models.loader import load
from backend.worker.models.memory_errors import out_of_memory
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from backend.worker.models.side_stream import side_stream

log = logging.getLogger(__name__)

RAM_SHARE = 0.5         # of the machine's memory, for networks
CARD_SHARE = 0.6        # of the card's free memory at the start, for networks; the rest is for activations
HINT_BYTES = 64 << 20
STACKED_BYTES = 512 << 20
WORDS_BYTES, CARD_WORDS_BYTES = 256 << 20, 1 << 30
DERIVED_BYTES = 8 << 30
RECORDING_BYTES = 8 << 30       # of a card, where the budget leaves so much
TOO_LARGE = Problem("needs more memory than there is; choose a smaller size", "width")

CPU = torch.device("cpu")


class Network(Protocol):
    """What can be held: it knows its bytes and where it lies, and moves unless it can only be in one place."""

    @property
    def bytes(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def to(self, device: torch.device) -> Any: ...


Loaded = TypeVar("Loaded", bound=Network)
Result = TypeVar("Result")
Key = tuple[str, str]       # kind and name


@dataclass(frozen=True, slots=True)
class _Held:
    network: Network
    path: str
    mark: Fingerprint | None

    @property
    def is_current(self) -> bool:
        """The file has not changed since it was read; one that was deleted has not, nor what was read from none."""
        return not self.path or fingerprint(self.path) in (self.mark, None)


class Memory:
    """Loaded networks of every kind within a byte budget, the least recently used one leaving first.

    `budget_bytes` bounds what lies on the placement's device, results in caches included; on a graphics card, idle
    networks are moved to main memory (`ram_bytes` of it) before they are dropped. What was asked for last and what is
    pinned always stays; a result for which there is no room beside it is not kept. For one thread.
    """

    def __init__(
        self,
        placement: Placement,
        budget_bytes: int | None = None,
        load: Callable[[ModelFile, Placement], Model] = load,
        ram_bytes: int | None = None,
    ) -> None:
        self.placement = placement
        self.budget_bytes = _budget(placement) if budget_bytes is None else budget_bytes
        self.ram_bytes = _ram_budget() if ram_bytes is None else ram_bytes
        self._load = load
        self._held: OrderedDict[Key, _Held] = OrderedDict()     # the latest last
        self._pins: WeakKeyDictionary[Any, list[Network]] = WeakKeyDictionary()
        self._caches: WeakSet[ResultCache[Any]] = WeakSet()
        self.hints: ResultCache[Any] = ResultCache(lambda _: HINT_BYTES, keeps_latest=True)     # pixels in main memory
        # factors of low-rank branches, side by side for the rows of a call
        self.stacked = self.cache(STACKED_BYTES, needed=True)
        # keys and values that attentions make of the words of running jobs
        self.words = self.cache(CARD_WORDS_BYTES if placement.device.type == "cuda" else WORDS_BYTES)
        self.derived = self.cache(DERIVED_BYTES)    # what adapters have made of a model's weights
        self.side = side_stream(placement.device)
        graph, use = graph_kind(placement.device)
        self.recordings = Recordings(self.cache(RECORDING_BYTES), graph, always_compared=use == "check")

    # ---- networks ----

    def get(self, checkpoint: ModelFile) -> Model:
        """The checkpoint in memory, on the device. Raises what `fetch` raises."""
        key = CHECKPOINT, checkpoint.key
        model = self.fetch(*key, checkpoint.path, lambda: self._load(checkpoint, self.placement))
        model.kept_words, model.recordings, model.derived = self.words, self.recordings, self.derived
        return model

    def fetch(self, kind: str, name: str, path: str, load: Callable[[], Loaded]) -> Loaded:
        """A network on the device, read by `load` if need be (again if the file has changed or lies elsewhere).

        `path` is "" for what is made from what is in memory already.

        Raises CheckpointError when the file is missing or broken, OutOfMemory when it does not fit.
        """
        problem = Problem(f"{name} needs more memory than there is", kind if kind in (CHECKPOINT, VAE) else "")
        held = self._held.pop((kind, name), None)
        if held is None or held.path != path or not held.is_current:
            if held:
                self._void(held.network)
                del held
                self.free_cache()
            mark = fingerprint(path) if path else None
            self._make_room(mark[0] if mark else 0)
            held = _Held(self.attempt(load, problem), path, mark)
        try:
            self._make_room(held.network.bytes)
            self.attempt(lambda: held.network.to(self.placement.device), problem)
        finally:
            self._held[kind, name] = held
        return held.network

    def __contains__(self, key: str) -> bool:
        """Whether `get` would answer without reading the checkpoint."""
        held = self._held.get((CHECKPOINT, key))
        return held is not None and held.is_current

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the networks in memory, the least recently used first."""
        return tuple(name for _, name in self._held)

    @property
    def bytes(self) -> int:
        """What all loaded networks take, wherever they are."""
        return sum(network.bytes for network in self._networks())

    def pin(self, network: Network, user: object) -> None:
        """Keep a network where it is until `unpin`, or for as long as `user` lives."""
        pinned = self._pins.setdefault(user, [])
        if not any(each is network for each in pinned):
            pinned.append(network)

    def unpin(self, user: object, network: Network | None = None) -> None:
        """`user` needs this network no more, or none of its networks."""
        kept = [each for each in self._pins.pop(user, ()) if network is not None and each is not network]
        if kept:
            self._pins[user] = kept

    def shelve(self, key: Key, user: object) -> None:
        """`user` needs a network no more: off the device at once, unless somebody else does. Unknown keys are fine."""
        if held := self._held.get(key):
            self.unpin(user, held.network)
            del held
        if key in self._idle_on(self.placement.device.type):
            self._evict(key)

    def drop(self, name: str, kind: str = CHECKPOINT) -> None:
        """Let go of one network; unknown names are fine."""
        if held := self._held.pop((kind, name), None):
            self._void(held.network)
            del held
            self.free_cache()

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._pins.clear()
        self._clear_caches()
        self.free_cache()

    # ---- results ----

    def cache(self, most_bytes: int, *, needed: bool = False) -> ResultCache[Any]:
        """An empty cache for results on the device: of at most so many bytes, and of what the budget leaves.

        `needed`: a call cannot do without the latest one, so that stays, and other caches make room for it.
        """

        def room(coming: int) -> int:
            if needed or coming <= min(most_bytes, self.beside_pinned):
                others = [each for each in self._caches if needed and each is not cache]
                self._give_way(coming - cache.bytes, others)
            return min(most_bytes, cache.bytes + self._left())

        cache: ResultCache[Any] = ResultCache(room, keeps_latest=needed)
        self._caches.add(cache)
        return cache

    # ---- what fits ----

    @property
    def beside_pinned(self) -> int:
        """Bytes of the device's budget for all that no running picture has pinned; below 0 when that needs more."""
        return self.budget_bytes - sum(network.bytes for network in self._pinned_here())

    def has_room_for(self, coming: Mapping[Key, int], more: int) -> bool:
        """Whether the budget holds these networks and `more` bytes beside what is pinned.

        Networks in memory count as what they take, others as what is told here.
        """
        known = {key: self._held[key].network for key in coming if key in self._held}
        each = {id(network): network.bytes for network in (*self._pinned_here(), *known.values())}
        unknown = sum(size for key, size in coming.items() if key not in known)
        return sum(each.values()) + unknown + more <= self.budget_bytes

    def _pinned_here(self) -> Iterable[Network]:
        """Those on the device, each once."""
        return {id(network): network for networks in self._pins.values() for network in networks
                if network.device.type == self.placement.device.type}.values()

    # ---- when memory is short ----

    def attempt(self, call: Callable[[], Result], problem: Problem = TOO_LARGE) -> Result:
        """What `call` gives. Where memory runs out it is tried again without caches and idle networks.

        Raises OutOfMemory with the problem when that does not help, and what else `call` raises. Where nobody waits for
        it any more WorkCancelled, in the place of whatever a library has made of that on its way.
        """
        while True:
            try:
                heed()
                made = call()
                heed()
                return made
            except Exception as error:      # each library has a class of its own for it
                heed()
                if not out_of_memory(error):
                    raise
                short = error.with_traceback(None)      # its frames hold the tensors of the call
            if not self.free_idle():
                raise OutOfMemory(problems=[problem]) from short

    def free_idle(self) -> bool:
        """Let go of caches and of the networks on the device that nobody uses; if there are none, of those elsewhere.

        Returns whether there was anything, or work beside the rest that had memory of its own.
        """
        waited = self.side.wait()
        before = self._taken(self.placement.device.type)
        self._clear_caches()
        for key in self._idle_on(self.placement.device.type):
            self._evict(key)
        freed = self._taken(self.placement.device.type) < before
        for key in [] if freed else self._idle_on(CPU.type):
            freed = True
            self.drop(key[1], key[0])
        self.free_cache()
        return freed or waited

    def free_cache(self) -> None:
        """Give memory that nobody uses back to the system or the card."""
        gc.collect()
        if self.placement.device.type == "cuda":
            torch.cuda.empty_cache()

    def _make_room(self, coming: int) -> None:
        """Until `coming` more bytes fit on the device: empty caches, then shelve or drop networks, the oldest first."""
        self._give_way(coming, self._caches)

    def _give_way(self, coming: int, caches: Iterable[ResultCache[Any]]) -> None:
        """The same with these caches alone."""
        for cache in caches:
            cache.shrink(max(cache.bytes + self._left() - coming, 0))
        for key in self._idle_on(self.placement.device.type):
            if self._left() >= coming:
                return
            self._evict(key)

    def _evict(self, key: Key) -> None:
        """Off the device: from a card to main memory, where older ones make room for it; or altogether."""
        held = self._held[key]
        if held.network.device.type == CPU.type:
            self.drop(key[1], key[0])
            return
        self._void(held.network)
        for older in self._idle_on(CPU.type):
            if self._taken(CPU.type) + held.network.bytes > self.ram_bytes:
                self.drop(older[1], older[0])
        if self._taken(CPU.type) + held.network.bytes > self.ram_bytes or not _moved(held.network, CPU):
            self.drop(key[1], key[0])
        self.free_cache()

    def _void(self, network: Network) -> None:
        """What was recorded on its weights cannot be replayed any more."""
        parts = getattr(network, "__dict__", {}).values()
        self.recordings.leave([each for each in parts if isinstance(each, nn.Module)])

    def _clear_caches(self) -> None:
        for cache in self._caches:
            cache.shrink(0)

    def _idle_on(self, device: str) -> list[Key]:
        """Keys of the networks on a kind of device that nobody has pinned, the least recently used first."""
        pinned = {id(network) for networks in self._pins.values() for network in networks}
        return [key for key, held in self._held.items()
                if held.network.device.type == device and id(held.network) not in pinned]

    def _left(self) -> int:
        """Bytes of the device's budget that nothing takes; below 0 when pinned networks need more."""
        return self.budget_bytes - self._taken(self.placement.device.type)

    def _taken(self, device: str) -> int:
        results = sum(cache.bytes for cache in self._caches) if device == self.placement.device.type else 0
        return results + sum(network.bytes for network in self._networks() if network.device.type == device)

    def _networks(self) -> Iterator[Network]:
        """Each once; also those that are still used although their file has been replaced."""
        pinned = (network for networks in self._pins.values() for network in networks)
        yield from {id(each): each for each in (*(held.network for held in self._held.values()), *pinned)}.values()


def _moved(network: Network, device: torch.device) -> bool:
    """Whether there was memory to move the network to the device; it stays where it is otherwise."""
    try:
        network.to(device)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return False
    return True


def _budget(placement: Placement) -> int:
    if placement.device.type == "cuda":
        return int(torch.cuda.mem_get_info(placement.device)[0] * CARD_SHARE)
    return _ram_budget()


def _ram_budget() -> int:
    return int(psutil.virtual_memory().total * RAM_SHARE)
