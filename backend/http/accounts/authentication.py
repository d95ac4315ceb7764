"""Who is asking, by name and password: HTTP Basic and the login page, one check for both.

An argon2 hash takes tens of milliseconds and much memory to check, on purpose: so a login that was right once is
remembered (as a keyed digest) until its password changes, few are checked at a time, and who keeps failing has to wait.
A try is counted before it is looked at, so that no number of them at once gets past the count. Where several fronts
share a database they count together, too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property, partial
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from backend.http.accounts.login_throttle import ACCOUNT_TRIES, COUNTED, Throttle, network
from backend.http.accounts.priority_semaphore import Turns
from backend.store.accounts import Account, Accounts
from backend.store.shared_login_tries import LoginTries, Try

AT_ONCE = 2             # hashes checked at the same time; each takes 19 MB, or what a given hash says
REMEMBERED = 1024       # right logins


class Denied(Exception):
    """No entry: the status, why, and the headers that tell a client what to do."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


class Credentials:
    """Checks names and passwords of accounts. Lives on one event loop at a time."""

    def __init__(self, accounts: Accounts, throttle: Throttle | None = None, shared: LoginTries | None = None) -> None:
        """`shared`: what other fronts count."""
        self._accounts, self._shared = accounts, shared
        self._of_address = throttle or Throttle()
        self._of_account = Throttle(ACCOUNT_TRIES)
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[str, str]] = OrderedDict()    # digest -> user's id, stamp
        self._homes: OrderedDict[tuple[str, str], None] = OrderedDict()     # name and address of right logins
        # Checks under way, by login and network: a page's requests come all at once and wait for the same answer.
        self._checks: dict[tuple[bytes, str], asyncio.Task[Denied | None]] = {}
        # Each network checks one login after the other, and right logins that come at once only wait.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._threads = CapacityLimiter(AT_ONCE)
        self._turns = Turns(AT_ONCE)

    @cached_property
    def _decoy(self) -> str:
        """Made when the first stranger knocks: where nobody logs in, no start waits for it."""
        return self._accounts.hashed(secrets.token_hex(16))

    async def account(self, authorization: str, address: str) -> Account:
        """The account behind an Authorization header of HTTP Basic. Raises Denied."""
        return await self.checked(*parse_basic(authorization), address)

    async def checked(self, name: str, password: str, address: str) -> Account:
        """The account that this name and password open. Raises Denied."""
        digest = hmac.digest(self._key, f"{name}\0{password}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        if account := self._remembered(digest):
            return account
        check = (digest, network(address))
        if check not in self._checks:
            self._checks[check] = asyncio.create_task(self._check(check, name, password))
        if refusal := await asyncio.shield(self._checks[check]):
            raise refusal
        return self._remembered(digest) or _refused()

    async def _check(self, check: tuple[bytes, str], name: str, password: str) -> Denied | None:
        """Goes on when who asked first has hung up: others may wait for the same answer."""
        digest, address = check
        try:
            async with self._locks.setdefault(address, asyncio.Lock()):
                if wait := self._wait(name, address):
                    return _too_many(wait)
                rank = (0 if (name, address) in self._homes else 1) + self._of_address.count(address)
                self._tried(name, address)
                async with self._turns.turn(rank) as granted:
                    if not granted:
                        return Denied(503, "Too many people log in now; try again", {"Retry-After": "2"})
                    counted = await self._counted_by_all(name, address)
                    if counted.wait:
                        return _too_many(counted.wait)
                    right = await to_thread.run_sync(self._opened, name, password, limiter=self._threads)
                if right is None:
                    return unauthorized("Wrong name or password")
                if self._shared:
                    await to_thread.run_sync(self._shared.was_right, counted, limiter=self._threads)
                self._right(name, address)
                self._remember(digest, right)
                return None
        finally:
            del self._checks[check]

    async def _counted_by_all(self, name: str, address: str) -> Try:
        """When its turn has come, so that a crowd asks the database no more often than passwords are checked."""
        if not self._shared:
            return Try()
        count = partial(self._shared.count, address, name, of_address=self._of_address.allowed,
                        of_account=self._of_account.allowed, window=self._of_address.window)
        return await to_thread.run_sync(count, limiter=self._threads)

    def _wait(self, name: str, address: str) -> float:
        """Who opened the account before is not kept out by strangers who try it.

        Where was that, all fronts know together: a shared database is asked for both.
        """
        elsewhere = self._shared or (name, address) in self._homes
        of_account = 0.0 if elsewhere else self._of_account.wait(name)
        return max(self._of_address.wait(address), of_account)

    def _tried(self, name: str, address: str) -> None:
        self._of_address.tried(address)
        if (name, address) not in self._homes:
            self._of_account.tried(name)

    def _right(self, name: str, address: str) -> None:
        self._of_address.right(address)
        if (name, address) not in self._homes:
            self._of_account.right(name)
        self._homes[name, address] = None
        while len(self._homes) > COUNTED:
            self._homes.popitem(last=False)

    def _opened(self, name: str, password: str) -> Account | None:
        """A stranger's name is checked against something that takes as long, so that time tells nothing of names."""
        account = self._accounts.named(name)
        if account is None or account.disabled or not account.password:
            other = next((each.password for each in self._accounts.all() if each.password), "") or self._decoy
            matches(other, password)
            return None
        return account if matches(account.password, password) else None

    def _remember(self, digest: bytes, account: Account) -> None:
        self._known[digest] = account.user.id, account.stamp
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _remembered(self, digest: bytes) -> Account | None:
        """The account that was opened before; not when it is disabled now or has another password."""
        user, stamp = self._known.get(digest, ("", ""))
        account = self._accounts.of(user) if user else None
        return account if account and not account.disabled and account.stamp == stamp else None


def matches(secret: str, password: str) -> bool:
    """Whether the argon2 hash is the password's."""
    try:
        return PasswordHasher().verify(secret, password.encode("utf-8", "surrogatepass"))
    except (Argon2Error, InvalidHashError):
        return False


def _too_many(wait: float) -> Denied:
    return Denied(429, "Too many failed logins; wait a minute", {"Retry-After": str(int(wait) + 1)})


def _refused() -> Account:
    raise unauthorized("Wrong name or password")


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
    except ValueError:      # no base64, no ASCII, no UTF-8
        raise unauthorized("The login is not readable") from None
    if not colon:
        raise unauthorized("The login is not readable")
    return name, password
