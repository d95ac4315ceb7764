"""The command line: flags and the environment to checked Settings, or a refusal that says how to mend it."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from backend.logs import FORMATS
from backend.request.limits import read_flags
from backend.settings import HOME, IDLE_MINUTES, MOST_WORKERS, OpenID, Settings

LOGINS = "EASEL_AUTH"
IN_A_CLUSTER = ("auto", "cuda", "cpu")     # its cards if it has any, cards alone, machines
DEVICE = re.compile(r"auto|none|(cpu|cuda)(:\d{1,3})?")
ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
FIRST_ADMIN, DATABASE = "EASEL_ADMIN", "EASEL_DATABASE"
OIDC_CLIENT, OIDC_SECRET = "EASEL_OIDC_CLIENT_ID", "EASEL_OIDC_CLIENT_SECRET"
HELP = {
    "host": "Address to listen on; any but this machine's own needs logins. Default: %(default)s.",
    "listen": "Listen on every network: the same as --host 0.0.0.0.",
    "port": "Port of the page and the API. Default: %(default)s.",
    "auth": "People who may log in, a line each: name:password or name:argon2-hash. "
            f"The environment variable {LOGINS} takes the same, separated by commas.",
    "setup-link": "Tell an address, once, by which the first account is made; until then everything else is closed.",
    "oidc-issuer": "Address of an OpenID provider with which people may log in; "
                   f"{OIDC_CLIENT} and {OIDC_SECRET} say as whom Easel asks it.",
    "oidc-claim": "What of the provider's answer is a person's name. Default: %(default)s.",
    "oidc-new": "What somebody may do whom the provider knows and Easel does not: none is let in, viewer looks, "
                "artist draws. Default: %(default)s.",
    "allow-host": "Another name under which this Easel may be asked where nobody logs in, such as "
                  "host.docker.internal; may be given several times.",
    "allow-origin": "A web page elsewhere whose scripts may use the API, such as http://localhost:3000; may be given "
                    "several times.",
    "root-path": "The path below which a reverse proxy shows Easel, such as /easel.",
    "trusted-proxy": "Address or network of a reverse proxy whose X-Forwarded-* headers are believed, such as "
                     "127.0.0.1 or 172.16.0.0/12; may be given several times. Nobody's are by default.",
    "share": "Ask Gradio for a public address that leads to this Easel for as long as it runs; needs logins.",
    "metrics-from": "Address or network that may read /metrics without a login; may be given several times.",
    "log-format": "What the log is written as: text, or json with an object a line. Default: %(default)s.",
    "allow-webhook": "A name, an address or a network (10.0.0.0/8) that jobs may tell of their end by webhook; may be "
                     "given several times. Default: none.",
    "admin": "A name of --auth that may pause the queue of everybody; may be given several times.",
    "limit": "What each person may ask for, such as queued=200, pixels=16M, steps=150 or disk=10GB; may be given "
             "several times. Admins can give single people other limits.",
    "share-links": "Who may open a picture or plot that somebody shares by a link: login asks for an account of this "
                   "Easel, open lets in whoever has the link. Default: %(default)s.",
    "audit-days": "For how many days entries of the audit log are kept. Default: %(default)s.",
    "ignore-unknown": "An account, or a part of a program's User-Agent, for which the API passes over what Easel lacks "
                      "in place of refusing it; the answer lists what that was. May be given several times.",
    "face-folder": "A folder with pictures of faces that the API may name as the source of a face swap, it or one "
                   "below it. May be given several times. Default: none.",
    "api-server-stop": "Let the API's server-stop, server-kill and server-restart end Easel where nobody logs in; with "
                       "logins admins may.",
    "data": "Folder for pictures and the queue. Default: %(default)s.",
    "database": "A PostgreSQL's database in place of a file in the data folder: postgresql://user:password@host/name. "
                f"Several Easels may share it and the data folder. Default: the environment variable {DATABASE}.",
    "models": "Folder with models; may be given several times, the first is searched first. Easel's own comes last.",
    "device": "Where pictures are drawn: auto, cpu, cuda, cuda:1, ...; several with commas between; "
              "each has a worker. none draws nothing, beside others on the same --database. Default: %(default)s.",
    "device-id": "Numbers of the CUDA devices to draw on, such as 0 or 0,1: the same as --device cuda:0,cuda:1.",
    "import": "Take the pictures below this folder into the history first, as copies; AUTOMATIC1111's outputs, say. "
              "Those that are there already are passed over.",
    "policy": "solo draws each request alone; packed lets several share a network call, so that everyone waits less. "
              "Default: %(default)s.",
    "compile": "Compile the blocks of networks with torch.compile: the first pictures of each size take minutes, later "
               "ones are sooner, with rounding of their own.",
    "cluster": "Draw on the graphics cards of a Ray cluster: its address, or auto for the one that this machine is in.",
    "cluster-workers": "How many of the cluster's cards to use at most, or of its machines where it has none.",
    "cluster-idle": "Minutes without work after which the cluster has a worker's device back; 0 keeps it. "
                    "Default: %(default)s.",
}


class Refusal(Exception):
    """Easel cannot start this way; the text says how to mend it."""


def parser() -> argparse.ArgumentParser:
    """The flags, each explained."""
    flags = argparse.ArgumentParser(prog="app.py", description="Easel: a Stable Diffusion studio in the browser.",
                                    epilog="Accounts: app.py user --help.")
    flags.add_argument("--host", default="127.0.0.1", help=HELP["host"])
    flags.add_argument("--listen", action="store_const", dest="host", const="0.0.0.0", help=HELP["listen"])  # noqa: S104
    flags.add_argument("--port", type=int, default=7860, help=HELP["port"])
    flags.add_argument("--auth", type=Path, metavar="FILE", help=HELP["auth"])
    flags.add_argument("--setup-link", action="store_true", help=HELP["setup-link"])
    flags.add_argument("--oidc-issuer", default="", metavar="URL", help=HELP["oidc-issuer"])
    flags.add_argument("--oidc-claim", default="preferred_username", metavar="NAME", help=HELP["oidc-claim"])
    flags.add_argument("--oidc-new", choices=("none", "viewer", "artist"), default="none", help=HELP["oidc-new"])
    flags.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=HELP["allow-host"])
    flags.add_argument("--allow-origin", action="append", default=[], metavar="URL", help=HELP["allow-origin"])
    flags.add_argument("--root-path", default="", metavar="PATH", help=HELP["root-path"])
    flags.add_argument("--trusted-proxy", action="append", default=[], metavar="ADDRESS", help=HELP["trusted-proxy"])
    flags.add_argument("--share", action="store_true", help=HELP["share"])
    flags.add_argument("--metrics-from", action="append", default=[], metavar="ADDRESS", help=HELP["metrics-from"])
    flags.add_argument("--log-format", choices=FORMATS, default="text", help=HELP["log-format"])
    flags.add_argument("--allow-webhook", action="append", default=[], metavar="HOST", help=HELP["allow-webhook"])
    flags.add_argument("--admin", action="append", default=[], metavar="NAME", help=HELP["admin"])
    flags.add_argument("--limit", action="append", default=[], metavar="NAME=NUMBER", help=HELP["limit"])
    flags.add_argument("--share-links", choices=("login", "open"), default="login", help=HELP["share-links"])
    flags.add_argument("--audit-days", type=int, default=365, metavar="DAYS", help=HELP["audit-days"])
    flags.add_argument("--ignore-unknown", action="append", default=[], metavar="NAME", help=HELP["ignore-unknown"])
    flags.add_argument("--face-folder", type=Path, action="append", default=[], metavar="DIR", help=HELP["face-folder"])
    flags.add_argument("--api-server-stop", action="store_true", help=HELP["api-server-stop"])
    flags.add_argument("--data", type=Path, default=HOME / "data", metavar="DIR", help=HELP["data"])
    flags.add_argument("--database", default="", metavar="URL", help=HELP["database"])
    flags.add_argument("--models", type=Path, action="append", default=[], metavar="DIR", help=HELP["models"])
    flags.add_argument("--import", type=Path, dest="import_from", metavar="DIR", help=HELP["import"])
    flags.add_argument("--device", default="auto", help=HELP["device"])
    flags.add_argument("--device-id", dest="device", type=_cuda_devices, default=argparse.SUPPRESS, metavar="N",
                       help=HELP["device-id"])
    flags.add_argument("--policy", choices=("solo", "packed"), default="solo", help=HELP["policy"])
    flags.add_argument("--compile", action="store_true", help=HELP["compile"])
    flags.add_argument("--cluster", default="", metavar="ADDRESS", help=HELP["cluster"])
    flags.add_argument("--cluster-workers", type=int, default=MOST_WORKERS, metavar="N",
                       help=HELP["cluster-workers"])
    flags.add_argument("--cluster-idle", type=int, default=IDLE_MINUTES, metavar="MINUTES",
                       help=HELP["cluster-idle"])
    return flags


def _cuda_devices(numbers: str) -> str:
    return ",".join(f"cuda:{number.strip()}" for number in numbers.split(","))


def settings_from(flags: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Settings that can be worked with: folders are there, logins where others can come in. Raises Refusal."""
    users = users_from(flags.auth, environment.get(LOGINS, ""))
    models = tuple(dict.fromkeys((*map(_folder, flags.models), HOME / "models")))     # each once, in this order
    settings = Settings(host=flags.host, port=flags.port, data=flags.data.expanduser().resolve(), models=models,
                        database_url=_database(flags.database or environment.get(DATABASE, "")),
                        device=_devices(flags.device), policy=flags.policy, compile=flags.compile,
                        users=users, admins=tuple(flags.admin),
                        first_admin=_first_admin(environment.get(FIRST_ADMIN, "")), setup_link=flags.setup_link,
                        oidc=_provider(flags, environment),
                        limits=_limits(flags.limit), share_links=flags.share_links,
                        audit_days=max(flags.audit_days, 1),
                        cluster=flags.cluster, cluster_workers=flags.cluster_workers,
                        cluster_idle=flags.cluster_idle,
                        hosts=tuple(map(_host, flags.allow_host)),
                        ignore_unknown=tuple(map(_named, flags.ignore_unknown)),
                        face_folders=tuple(_folder(each, "--face-folder") for each in flags.face_folder),
                        api_server_stop=flags.api_server_stop,
                        log_format=flags.log_format, share=flags.share,
                        metrics_from=tuple(_network(each, "--metrics-from") for each in flags.metrics_from),
                        root_path=_root_path(flags.root_path),
                        trusted_proxies=tuple(map(_network, flags.trusted_proxy)),
                        origins=tuple(map(_origin, flags.allow_origin)),
                        webhook_hosts=tuple(map(_webhook_host, flags.allow_webhook)))
    if unknown := [name for name in settings.admins if name not in users]:
        raise Refusal(f"--admin names {unknown[0]}, who cannot log in; add a line for it to --auth.")
    if settings.cluster_workers < 1:
        raise Refusal(f"--cluster-workers is at least 1, not {settings.cluster_workers}.")
    if settings.cluster_idle < 0:
        raise Refusal(f"--cluster-idle is 0 or more minutes, not {settings.cluster_idle}.")
    if settings.cluster and settings.device not in IN_A_CLUSTER:
        raise Refusal(f"--device takes {', '.join(IN_A_CLUSTER)} beside --cluster, not {settings.device}.")
    _check_writable(settings.data)
    return settings


def import_folder(flags: argparse.Namespace, settings: Settings) -> Path | None:
    """The folder to import from, if one is named. Raises Refusal where it cannot be read or nobody would see it."""
    if flags.import_from is None:
        return None
    if settings.users:
        raise Refusal("--import is for an Easel without logins; log in and import on the History tab.")
    return _folder(flags.import_from, "--import")


def users_from(file: Path | None, variable: str) -> dict[str, str]:
    """Names and secrets from both places. Raises Refusal."""
    try:
        return read_variable(variable) | (read_file(file.read_text("utf-8")) if file else {})
    except (OSError, ValueError) as error:
        raise Refusal(f"the logins of --auth or {LOGINS} cannot be read: {error}.") from None


def read_file(text: str) -> dict[str, str]:
    """Names and secrets, a line each; # starts a remark. Raises ValueError."""
    return _users(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def read_variable(text: str) -> dict[str, str]:
    """The same from one line. A comma separates only where a new name follows it: hashes contain commas."""
    return _users(re.split(r"\n|,(?=[^,:$]+:)", text))


def _users(entries: Iterable[str]) -> dict[str, str]:
    users: dict[str, str] = {}
    for entry in filter(None, map(str.strip, entries)):
        name, _, secret = entry.partition(":")
        if not name or not secret:
            raise ValueError("every entry must read name:password")
        if name in users:
            raise ValueError(f"'{name}' is there twice")
        users[name] = secret
    return users


def _limits(written: Iterable[str]) -> dict[str, int]:
    try:
        return read_flags(written)
    except ValueError as error:
        raise Refusal(f"--limit {error}.") from None


def _first_admin(entry: str) -> tuple[str, str] | None:
    name, _, password = entry.partition(":")
    if entry and not (name and password):
        raise Refusal(f"{FIRST_ADMIN} must read name:password.")
    return (name, password) if entry else None


def _provider(flags: argparse.Namespace, environment: Mapping[str, str]) -> OpenID | None:
    if not flags.oidc_issuer:
        return None
    client, secret = environment.get(OIDC_CLIENT, ""), environment.get(OIDC_SECRET, "")
    if not client or not secret:
        raise Refusal(f"--oidc-issuer needs {OIDC_CLIENT} and {OIDC_SECRET} in the environment.")
    if not re.match(r"https://[^/]|http://(localhost|127\.0\.0\.1)[:/]", flags.oidc_issuer):
        raise Refusal("--oidc-issuer takes the provider's address, which begins with https://.")
    role = "" if flags.oidc_new == "none" else flags.oidc_new
    return OpenID(issuer=flags.oidc_issuer.rstrip("/"), client=client, secret=secret, name_claim=flags.oidc_claim,
                  role=role)


def _database(url: str) -> str:
    refusal = Refusal("--database takes postgresql://user:password@host:5432/name.")
    try:
        parts = urlsplit(url)
        whole = parts.hostname and parts.path.strip("/") and (parts.port is None or parts.port)
    except ValueError:
        raise refusal from None
    if url and (parts.scheme not in ("postgresql", "postgres") or not whole):
        raise refusal
    return url


def _devices(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    alone = len(names) > 1 and {"auto", "none"} & set(names)
    if alone or len(set(names)) < len(names) or not all(map(DEVICE.fullmatch, names)):
        raise Refusal(f"--device takes auto, none, or cpu, cuda, cuda:1, ... each once and separated by commas, "
                      f"not {text}.")
    return ",".join(names)


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+|(?=.*:.*:)[0-9A-Fa-f:]+", name):
        raise Refusal(f"--allow-host takes a bare name or address such as host.docker.internal, not {name}.")
    return name.lower()


def _root_path(path: str) -> str:
    if path.strip("/") and not ROOT_PATH.fullmatch(path.rstrip("/")):
        raise Refusal(f"--root-path takes a path such as /easel, not {path}.")
    return path.rstrip("/")


def _network(text: str, flag: str = "--trusted-proxy") -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise Refusal(f"{flag} takes an address such as 127.0.0.1 or a network such as 10.0.0.0/8 "
                      f"({error}).") from None


def _webhook_host(host: str) -> str:
    try:
        return str(ipaddress.ip_network(host)) if "/" in host else str(ipaddress.ip_address(host))
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9.-]*[A-Za-z-][A-Za-z0-9.-]*", host):
            raise Refusal("--allow-webhook takes a bare name, an address or a network such as 10.0.0.0/8, "
                          f"not {host}.") from None
    return host.lower().rstrip(".")


def _named(client: str) -> str:
    if not client.strip():
        raise Refusal("--ignore-unknown takes an account or a part of a User-Agent, not an empty text.")
    return client.strip()


def _origin(url: str) -> str:
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?/?", url):
        raise Refusal(f"--allow-origin takes a page's address such as http://localhost:3000, not {url}.")
    return url.rstrip("/").lower()


def _folder(folder: Path, flag: str = "--models") -> Path:
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise Refusal(f"there is no folder {folder}; create it or give {flag} another.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise Refusal(f"the folder {folder} may not be read; allow it or give {flag} another.")
    return folder


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Refusal(f"the folder {folder} cannot be written ({error.strerror}); give --data another.") from None
