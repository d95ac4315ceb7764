"""One attempt to deliver a webhook: to the address that was checked, without redirects, within a time limit."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence

from backend.errors import UserError
from backend.webhooks.address import resolved

SECONDS = 10.0          # for a whole attempt, however slowly the other side talks


class Gone(UserError):
    """The receiver says that it wants no more of these."""


class _Connection(http.client.HTTPConnection):
    """To one IP address, whatever its name would lead to by now; encrypted if there is a `tls`."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=SECONDS)
        self._address, self._tls = address, tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """Ends what another thread waits for."""
        with contextlib.suppress(OSError, AttributeError):      # it may not be open yet, or no longer
            self.sock.shutdown(socket.SHUT_RDWR)


def send(url: str, body: bytes, headers: Mapping[str, str], allowed: Sequence[str]) -> None:
    """POST of `body`; what is answered is not read. UserError says why it was not taken, Gone that it never will be."""
    parts, port, address = resolved(url, allowed)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    connection = _Connection(parts.hostname or "", port, address, tls)
    limit = threading.Timer(SECONDS, connection.cut)
    limit.daemon = True
    limit.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Content-Type": "application/json", "User-Agent": "Easel", **headers})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(f"no answer: {error or type(error).__name__}") from None
    finally:
        limit.cancel()
        connection.close()
    if status == http.client.GONE:
        raise Gone("answered 410: it wants no more of these")
    if not 200 <= status < 300:
        raise UserError(f"answered {status}")
