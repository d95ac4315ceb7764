"""--share: a public address by Gradio's tunnel, for as long as Easel runs.

The tunnel's program connects to a listener of its own on loopback. So its requests, which come from strangers, are told
from those of this machine: they have an address of their own in the throttle and in every limit, are `https`, and go by
the public name alone. What they say of addresses behind them is not believed.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import Scope

CLIENT = "public link"      # in place of an address
TOKEN_BYTES = 32
SUFFIX = "Easel goes on without it, for those who can reach this machine."

log = logging.getLogger(__name__)


class PublicLink:
    """`url` is "" until there is a link, and `problem` why there is none. Thread-safe: each is set once."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where the certificate of the tunnel's server is kept."""
        self._folder = folder
        self._tunnel: object | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self.url = self.problem = ""

    def listener(self) -> socket.socket:
        """What the tunnel connects to."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        return self._listener

    def open_in_background(self) -> None:
        """Asks for the link; the page is there meanwhile."""
        threading.Thread(target=self._open, name="public link", daemon=True).start()

    def close(self) -> None:
        """Ends the tunnel."""
        if self._tunnel is not None:
            self._tunnel.kill()

    def is_asked(self, scope: Scope) -> bool:
        """Whether a request came through the tunnel."""
        return bool(self.port) and (scope.get("server") or ("", 0))[1] == self.port

    def named(self, scope: Scope) -> Scope:
        """Such a request as what it is: a stranger's, by the public name."""
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scheme = "wss" if scope["type"] == "websocket" else "https"
        host = urlsplit(self.url).netloc.encode() or b"public.invalid"
        return {**scope, "client": (CLIENT, 0), "scheme": scheme, "headers": [*others, (b"host", host)]}

    def _open(self) -> None:
        import httpx
        from gradio.exceptions import ChecksumMismatchError

        try:
            self.url = self._opened()
        except ChecksumMismatchError:
            why = "the tunnel's program is not the one that Gradio vouches for, and was thrown away"
        except (httpx.HTTPError, RuntimeError):
            why = "the server that gives such links cannot be reached; there is no way to the internet, or it is down"
        except OSError as error:
            why = f"the tunnel's program cannot be fetched or started ({error})"
        except (ValueError, KeyError, IndexError, TypeError):
            why = "the tunnel did not come about; the server that gives such links may not allow it at the moment"
        except Exception as error:      # a border: whoever waits for the link shall hear that none comes
            log.exception("opening the public link")
            why = f"the tunnel did not come about ({type(error).__name__})"
        else:
            print(f"Easel is public at {self.url}", flush=True)
            return
        self.problem = f"There is no public link: {why}. {SUFFIX}"
        print(self.problem, flush=True)

    def _opened(self) -> str:
        """The link's address. Raises what Gradio's own code does."""
        import httpx
        from gradio import networking, tunneling

        _check(Path(tunneling.BINARY_PATH), tunneling)
        if own := networking.GRADIO_SHARE_SERVER_ADDRESS:
            server, certificate = own, None
        else:
            told = httpx.get(networking.GRADIO_API_SERVER, timeout=30).raise_for_status().json()[0]
            server, certificate = f"{told['host']}:{told['port']}", self._folder / "tunnel-certificate.pem"
            certificate.write_text(told["root_ca"], "utf-8")
        host, _, port = server.rpartition(":")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        tunnel = tunneling.Tunnel(host, int(port), "127.0.0.1", self.port, token, certificate and str(certificate))
        self._tunnel = tunnel
        try:
            return tunnel.start_tunnel()
        except tunneling.ChecksumMismatchError:
            Path(tunneling.BINARY_PATH).unlink(missing_ok=True)
            raise


def _check(program: Path, tunneling: object) -> None:
    """Gradio looks at the checksum only where it has just fetched the program. Raises ChecksumMismatchError."""
    known = tunneling.CHECKSUMS.get(tunneling.BINARY_URL)
    if known and program.is_file() and hashlib.sha256(program.read_bytes()).hexdigest() != known:
        program.unlink()
        raise tunneling.ChecksumMismatchError
