"""Where a webhook may lead: only to hosts that the operator allows, and to addresses that belong to them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from backend.errors import InvalidRequest, UserError
from backend.store.webhooks import Webhook
from backend.webhooks.signature import key_of

LONGEST = 2000          # characters of an address
PORTS = {"http": 80, "https": 443}
LOCAL_NAMES = ("localhost",)

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked(webhook: Webhook, allowed: Sequence[str]) -> None:
    """InvalidRequest for an address that is none or not allowed, and for a secret that cannot sign."""
    parts = _parts(webhook.url)
    if not _allows(parts.hostname or "", allowed):
        raise InvalidRequest(f"{parts.hostname} is not among the hosts that this Easel may call; its operator allows "
                             "it with --allow-webhook", field="webhook.url")
    try:
        key_of(webhook.secret)
    except ValueError as error:
        raise InvalidRequest(str(error), field="webhook.secret") from None


def resolved(url: str, allowed: Sequence[str]) -> tuple[SplitResult, int, str]:
    """The parts of an address, its port, and the one IP address to connect to. UserError where none is allowed.

    A host that is allowed by its name may lead to public addresses only, unless the address is allowed as well: a
    name's owner must not be able to point it into the operator's own network. "localhost" leads to this machine.
    """
    parts = _parts(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if not _allows(host, allowed):
        raise UserError(f"{host} is no longer allowed")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UserError(f"{host} is not found: {error}") from None
    for *_, address in found:
        if _may_connect(host, ipaddress.ip_address(str(address[0]).partition("%")[0]), allowed):
            return parts, port, str(address[0])
    raise UserError(f"{host} leads to an address that is not allowed")


def _parts(url: str) -> SplitResult:
    """InvalidRequest for what is no web address."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0 and len(url) <= LONGEST
    except ValueError:
        fits = False
    plain = url.isascii() and url.isprintable() and not set(url) & {" ", "\\"}
    if not fits or not plain or "@" in parts.netloc:
        raise InvalidRequest("must be an address such as https://example.com/hook without a login", field="webhook.url")
    return parts


def _allows(host: str, allowed: Sequence[str]) -> bool:
    address = _address(host)
    return host.rstrip(".") in allowed or address is not None and _within(address, allowed)


def _may_connect(host: str, address: IP, allowed: Sequence[str]) -> bool:
    if _within(address, allowed):
        return True
    return address.is_loopback if host in LOCAL_NAMES else address.is_global and not address.is_multicast


def _within(address: IP, allowed: Sequence[str]) -> bool:
    networks = [ipaddress.ip_network(each) for each in allowed if _is_network(each)]
    return any(address in network for network in networks)


def _is_network(text: str) -> bool:
    return "/" in text or _address(text) is not None


def _address(text: str) -> IP | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
