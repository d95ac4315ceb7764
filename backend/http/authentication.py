"""Who is asking: HTTP Basic against the names and passwords Easel was started with.

Passwords are given as argon2 hashes or plainly. A hash takes tens of milliseconds and much memory to check, on purpose:
so a login that was right once is remembered (as a keyed digest), and an address that keeps failing has to wait.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

ARGON2 = "$argon2"
AT_ONCE = 2             # hashes checked at the same time; each takes about 64 MB
REMEMBERED = 1024       # logins, addresses


class Denied(Exception):
    """No entry: the status, why, and the headers that tell a client what to do."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


class Throttle:
    """Counts failed logins per address: after `allowed` within `window` seconds the address has to wait."""

    def __init__(self, allowed: int = 8, window: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed, self._window, self._clock = allowed, window, clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        failures = self._failures.get(network(address), ())
        return max(failures[0] + self._window - self._clock(), 0.0) if len(failures) == self._allowed else 0.0

    def failed(self, address: str) -> None:
        self._failures.setdefault(network(address), deque(maxlen=self._allowed)).append(self._clock())
        self._failures.move_to_end(network(address))
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)


class Credentials:
    """The people who may enter, by name. `users` maps names to passwords or argon2 hashes and is not empty."""

    def __init__(self, users: Mapping[str, str], throttle: Throttle | None = None) -> None:
        self._users = dict(users)
        self._throttle = throttle or Throttle()
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        # Checks under way, by login and network: a page's requests come all at once and wait for the same answer.
        self._checks: dict[tuple[bytes, str], asyncio.Task[Denied | None]] = {}
        # Each network checks one login after the other, so that a failure is counted before the next login is looked at
        # and right logins that come at once only wait.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._hasher = PasswordHasher()
        self._turns = CapacityLimiter(AT_ONCE)
        # A stranger's name is checked against something that takes as long, so that time tells nothing about names.
        hashes = [secret for secret in self._users.values() if secret.startswith(ARGON2)]
        self._decoy = hashes[0] if hashes else secrets.token_hex(16)

    async def user(self, authorization: str, address: str) -> str:
        """The name behind an Authorization header. Raises Denied."""
        name, password = parse_basic(authorization)
        digest = hmac.digest(self._key, f"{name}\0{password}".encode(), hashlib.sha256)
        if digest in self._known:
            return self._known[digest]
        check = (digest, network(address))
        if check not in self._checks:
            self._checks[check] = asyncio.create_task(self._checked(check, name, password))
        if refusal := await asyncio.shield(self._checks[check]):
            raise refusal
        return name

    async def _checked(self, check: tuple[bytes, str], name: str, password: str) -> Denied | None:
        """Goes on when who asked first has hung up: others may wait for the same answer."""
        digest, address = check
        try:
            async with self._locks.setdefault(address, asyncio.Lock()):
                if wait := self._throttle.wait(address):
                    return Denied(429, "Too many failed logins from this address", {"Retry-After": str(int(wait) + 1)})
                if await to_thread.run_sync(self._is_right, name, password, limiter=self._turns):
                    self._remember(digest, name)
                    return None
                self._throttle.failed(address)
                return unauthorized("Wrong name or password")
        finally:
            del self._checks[check]

    def _is_right(self, name: str, password: str) -> bool:
        secret = self._users.get(name, self._decoy)
        if secret.startswith(ARGON2):
            return self._matches_hash(secret, password) and name in self._users
        return hmac.compare_digest(secret.encode(), password.encode()) and name in self._users

    def _matches_hash(self, secret: str, password: str) -> bool:
        try:
            return self._hasher.verify(secret, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _remember(self, digest: bytes, name: str) -> None:
        self._known[digest] = name
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def unauthorized(reason: str) -> Denied:
    """401 with the header that makes a browser ask for name and password."""
    return Denied(401, reason, {"WWW-Authenticate": 'Basic realm="Easel", charset="UTF-8"'})


def parse_basic(authorization: str) -> tuple[str, str]:
    """(name, password) of an HTTP Basic header. Raises Denied."""
    scheme, _, value = authorization.partition(" ")
    if scheme.casefold() != "basic":
        raise unauthorized("Log in with name and password")
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorized("The login is not readable") from None
    if not colon:
        raise unauthorized("The login is not readable")
    return name, password


def network(address: str) -> str:
    """One customer's IPv6 addresses count as one: providers hand out whole /64 networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
