"""`python app.py user ...`: the accounts of a data folder, managed from a terminal while Easel runs or not."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backend.errors import EaselError
from backend.flags import DATABASE, Refusal
from backend.settings import HOME
from backend.store.accounts import Account, Accounts
from backend.store.bearer_secrets import new_secret
from backend.store.database import Database
from backend.store.password_links import HOURS, PasswordLinks
from backend.store.users import Users
from backend.store.view_types import ROLES

PASSWORD = "EASEL_PASSWORD"     # noqa: S105 - the name of a variable
HELP = {
    "add": f"Make an account. The password is asked for, or comes from {PASSWORD} or the first line of the input.",
    "list": "Show all accounts.",
    "password": "Make a link by which its owner chooses another password, once; the old one holds no longer.",
    "role": "Let an account do more or less.",
    "disable": "Close an account and keep all that is its.",
    "enable": "Open a disabled account again.",
    "remove": "Remove an account; its pictures stay where they are.",
}


def run(arguments: Sequence[str]) -> int:
    """The exit code: 0, or 2 with a sentence when it could not be done."""
    flags = _parser().parse_args(arguments)
    try:
        folder = flags.data.expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        database = Database(flags.database or os.environ.get(DATABASE) or folder / "easel.db")
        try:
            accounts = Accounts(database, Users(database), {}, ())
            print(flags.act(accounts, PasswordLinks(database, accounts), flags))
        finally:
            database.close()
    except (EaselError, Refusal, OSError) as error:
        print(f"That could not be done: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py user", description="Who may log in to this Easel.")
    acts = parser.add_subparsers(required=True, metavar="ACT")
    parsers = {name: acts.add_parser(name, help=HELP[name], description=HELP[name]) for name in HELP}
    for name, made in parsers.items():
        made.add_argument("--data", type=Path, default=HOME / "data", metavar="DIR", help="Easel's data folder.")
        made.add_argument("--database", default="", metavar="URL", help="Easel's PostgreSQL, where it has one.")
        made.set_defaults(act=_ACTS[name])
        if name != "list":
            made.add_argument("name", metavar="NAME")
    roles = parsers["add"].add_mutually_exclusive_group()
    roles.add_argument("--role", choices=ROLES, default="artist", help="What it may do. Default: %(default)s.")
    roles.add_argument("--admin", action="store_const", dest="role", const="admin", help="The same as --role admin.")
    parsers["role"].add_argument("role", choices=ROLES)
    parsers["add"].add_argument("--link", action="store_true", help="The owner chooses the password, by a link.")
    parsers["password"].add_argument(
        "--ask", action="store_true", help=f"Set one instead: it is asked for, or comes from {PASSWORD} or the input.")
    for name in ("add", "password"):
        parsers[name].add_argument("--address", default="http://127.0.0.1:7860", metavar="URL",
                                   help="Where others reach Easel, for the link. Default: %(default)s.")
    return parser


def _add(accounts: Accounts, links: PasswordLinks, flags: argparse.Namespace) -> str:
    if flags.link:
        accounts.add(flags.name, flags.role, new_secret())
        return f"{flags.name} has an account ({flags.role}). {_link(links, flags)}"
    accounts.add(flags.name, flags.role, _password(os.environ))
    return f"{flags.name} may log in ({flags.role})."


def _list(accounts: Accounts, _: PasswordLinks, __: argparse.Namespace) -> str:
    lines = [f"{each.user.name:24} {each.user.role:8} {_state(each)}".rstrip() for each in accounts.all()]
    return "\n".join(lines) or "There are no accounts."


def _set_password(accounts: Accounts, links: PasswordLinks, flags: argparse.Namespace) -> str:
    if not flags.ask:
        return f"{flags.name} is logged out everywhere. {_link(links, flags)}"
    accounts.set_password(flags.name, _password(os.environ))
    return f"{flags.name} has a new password, and is logged out everywhere."


def _set_role(accounts: Accounts, _: PasswordLinks, flags: argparse.Namespace) -> str:
    accounts.set_role(flags.name, flags.role)
    return f"{flags.name} is {flags.role} now."


def _disable(accounts: Accounts, _: PasswordLinks, flags: argparse.Namespace) -> str:
    accounts.set_disabled(flags.name, True)
    return f"{flags.name} may not log in any more."


def _enable(accounts: Accounts, _: PasswordLinks, flags: argparse.Namespace) -> str:
    accounts.set_disabled(flags.name, False)
    return f"{flags.name} may log in again."


def _remove(accounts: Accounts, _: PasswordLinks, flags: argparse.Namespace) -> str:
    accounts.remove(flags.name)
    return f"{flags.name} is removed. An account that is added by this name finds its pictures again."


_ACTS: Mapping[str, Callable[[Accounts, PasswordLinks, argparse.Namespace], str]] = {
    "add": _add, "list": _list, "password": _set_password, "role": _set_role, "disable": _disable, "enable": _enable,
    "remove": _remove}


def _link(links: PasswordLinks, flags: argparse.Namespace) -> str:
    return (f"A password is chosen, once and within {HOURS} hours, at\n"
            f"{flags.address.rstrip('/')}/password/{links.make(flags.name)}")


def _state(account: Account) -> str:
    return "disabled" if account.disabled else f"since {account.created:%Y-%m-%d}"


def _password(environment: Mapping[str, str]) -> str:
    """From the environment, a terminal without echo, or the first line of what is piped in. Raises Refusal."""
    if given := environment.get(PASSWORD):
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise Refusal("the two passwords differ.")
    return first
