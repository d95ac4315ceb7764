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
    """Counts logins per address that failed or are being checked: after `allowed` within `window` seconds it waits.

    An attempt counts from its beginning, so that many at once are no more than many one after the other.
    """

    def __init__(self, allowed: int = 8, window: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed, self._window, self._clock = allowed, window, clock
        self._attempts: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, address: str) -> float:
        """Count an attempt that may begin now (0), or tell how many seconds this address has to wait for it."""
        attempts = self._attempts.setdefault(_network(address), deque(maxlen=self._allowed))
        if len(attempts) == self._allowed and (wait := attempts[0] + self._window - self._clock()) > 0:
            return wait
        attempts.append(self._clock())
        self._attempts.move_to_end(_network(address))
        while len(self._attempts) > REMEMBERED:
            self._attempts.popitem(last=False)
        return 0.0

    def succeeded(self, address: str) -> None:
        """An attempt that has begun was right, and does not count."""
        if attempts := self._attempts.get(_network(address)):
            attempts.pop()


class Credentials:
    """The people who may enter, by name. `users` maps names to passwords or argon2 hashes and is not empty."""

    def __init__(self, users: Mapping[str, str], throttle: Throttle | None = None) -> None:
        self._users = dict(users)
        self._throttle = throttle or Throttle()
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[bool]] = {}      # those under way: a page's requests come all at once
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
        if digest not in self._checks:
            if wait := self._throttle.begin(address):
                raise Denied(429, "Too many failed logins from this address", {"Retry-After": str(int(wait) + 1)})
            self._checks[digest] = asyncio.create_task(self._checked(digest, name, password, address))
        if not await asyncio.shield(self._checks[digest]):
            raise unauthorized("Wrong name or password")
        return name

    async def _checked(self, digest: bytes, name: str, password: str, address: str) -> bool:
        """Goes on when who asked first has hung up: others may wait for the same answer."""
        try:
            is_right = await to_thread.run_sync(self._is_right, name, password, limiter=self._turns)
        finally:
            del self._checks[digest]
        if is_right:
            self._throttle.succeeded(address)
            self._remember(digest, name)
        return is_right

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


def _network(address: str) -> str:
    """One customer's IPv6 addresses count as one: providers hand out whole /64 networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
