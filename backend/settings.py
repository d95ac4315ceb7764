"""How this Easel was started: frozen, made once by app.py, handed down. Nothing else is configuration."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from backend.logs import LogFormat

Policy = Literal["solo", "packed"]
ShareLinks = Literal["login", "open"]
HOME = Path(__file__).resolve().parent.parent
MOST_WORKERS = 1024
IDLE_MINUTES = 10
COMPILE = "EASEL_COMPILE"
"""Environment variable of a worker: any value but "" and "0" compiles the blocks of networks."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenID:
    """An OpenID provider: who it says is known may log in. `role` is that of new accounts; "" refuses new ones."""

    issuer: str
    client: str
    secret: str = field(repr=False)
    name_claim: str = "preferred_username"
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Paths are absolute. `models` are searched in order; `users` maps names to passwords, for one run."""

    host: str = "127.0.0.1"
    port: int = 7860
    data: Path = HOME / "data"
    database_url: str = ""                    # "postgresql://...", which several front processes may share; "" = a file
    models: tuple[Path, ...] = (HOME / "models",)
    device: str = "auto"                      # "auto", "cpu", "cuda:0,cuda:1", ..., or "none"
    policy: Policy = "solo"
    compile: bool = False                     # the blocks of networks, by torch.compile
    cluster: str = ""                         # a Ray cluster's address, "auto" for this machine's; "" = none
    cluster_workers: int = MOST_WORKERS       # of the cluster, at most
    cluster_idle: int = IDLE_MINUTES          # minutes without work after which it has a device back; 0 = never
    users: dict[str, str] = field(default_factory=dict, repr=False)
    admins: tuple[str, ...] = ()              # of the users, those who may pause everybody's queue
    first_admin: tuple[str, str] | None = field(default=None, repr=False)   # name and password, from the environment
    setup_link: bool = False                  # the first account is made by an address that is told at the start
    oidc: OpenID | None = None                # a provider with which people may log in
    extensions: tuple[str, ...] = ()          # packages that register with each process
    extension_folder: Path = HOME / "extensions"
    limits: dict[str, int] = field(default_factory=dict)    # of each user, by the names of `request.limits`
    share_links: ShareLinks = "login"         # who may open a shared link: who can log in, or whoever has it
    audit_days: int = 365                     # for which entries of the audit log are kept
    hosts: tuple[str, ...] = ()               # names besides the local ones that lead here, where nobody logs in
    root_path: str = ""                       # below which a reverse proxy shows Easel, such as "/easel"
    trusted_proxies: tuple[str, ...] = ()     # addresses and networks whose X-Forwarded-* headers are believed
    log_format: LogFormat = "text"
    metrics_from: tuple[str, ...] = ()        # networks that may read /metrics without a login
    share: bool = False                       # ask for a public link
    origins: tuple[str, ...] = ()             # web pages elsewhere that may use the API: "https://name:port"

    webhook_hosts: tuple[str, ...] = ()       # names, addresses and networks that jobs may tell of their end
    ignore_unknown: tuple[str, ...] = ()      # accounts, or parts of a User-Agent, for whom the API passes over
    face_folders: tuple[Path, ...] = ()       # with pictures of faces that requests may name
    api_server_stop: bool = False             # whether clients may stop Easel where nobody logs in

    @property
    def outputs(self) -> Path:
        return self.data / "outputs"

    @property
    def gradio_files(self) -> Path:
        """Where Gradio puts what a page sends to it; `backend.facade.gradio_upload_folder` sweeps it."""
        return self.data / (f"uploads-{socket.gethostname()}-{self.port}" if self.database_url else "uploads")

    @property
    def database(self) -> Path | str:
        """A file, or the URL of a PostgreSQL's."""
        return self.database_url or self.data / "easel.db"

    @property
    def extension_switches(self) -> Path:
        """Which extensions are switched off: see `backend.extensions.switches`."""
        return self.data / "extensions.json"

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to log in as long as there are no accounts: only this machine can ask."""
        return self.is_loopback and not self.share and not self.setup_link and self.oidc is None
