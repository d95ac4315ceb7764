"""Who tries too many wrong passwords has to wait: tries counted by the address they come from, and by the account."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

TRIES = 8               # of an address within WINDOW
ACCOUNT_TRIES = 30      # for an account within WINDOW, from addresses that never opened it
WINDOW = 60.0           # seconds
COUNTED = 2**16         # addresses and accounts whose tries are counted


class Throttle:
    """Counts tries by what they have in common: after `allowed` within `window` seconds there are no more."""

    def __init__(self, allowed: int = TRIES, window: float = WINDOW,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.allowed, self.window, self._clock = allowed, window, clock
        self._tries: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def wait(self, key: Hashable) -> float:
        """Seconds until the next try; 0 when it may come now."""
        tries = self._tries.get(key, ())
        return max(tries[0] + self.window - self._clock(), 0.0) if len(tries) == self.allowed else 0.0

    def tried(self, key: Hashable) -> None:
        """Counts a try."""
        self._tries.setdefault(key, deque(maxlen=self.allowed)).append(self._clock())
        self._tries.move_to_end(key)
        while len(self._tries) > COUNTED:
            self._tries.popitem(last=False)

    def right(self, key: Hashable) -> None:
        """The last try was a right one, and does not count."""
        if tries := self._tries.get(key):
            tries.pop()

    def count(self, key: Hashable) -> int:
        """How many were counted and are not too long ago."""
        return sum(moment > self._clock() - self.window for moment in self._tries.get(key, ()))


def network(address: str) -> str:
    """One customer's IPv6 addresses count as one: providers hand out whole /64 networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
