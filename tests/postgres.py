"""A PostgreSQL server of the tests' own, in a temporary folder, and fresh databases on it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from backend.store.database import Database
from backend.store.tables import Base

NOBODY = 65534          # PostgreSQL does not run as root


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class NoServer(Exception):
    """Why none can be started."""


class PostgresServer:
    """Listens on this machine alone; whoever asks is let in."""

    def __init__(self, folder: Path) -> None:
        """Raises NoServer."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
        programs = Path(found[-1] if found else shutil.which("pg_ctl") or "").parent
        if not (programs / "initdb").is_file():
            raise NoServer("PostgreSQL's initdb and pg_ctl are not installed")
        self.folder, self._programs, self.port = folder, programs, free_port()
        self._numbers, self._with_tables = count(1), ""
        self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(folder, NOBODY, NOBODY)
        self._run("initdb", "--pgdata", "data", "--username", "easel", "--auth", "trust", "--no-sync",
                  "--encoding", "UTF8", "--locale", "C")
        settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "200",
                    "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "wal_level": "minimal",
                    "max_wal_senders": "0", "jit": "off"}
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "start", "--pgdata", "data", "--log", "log", "--wait", "--silent")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "--pgdata", "data", "--mode", mode, "--wait", "--silent")

    def url(self, name: str) -> str:
        return f"postgresql://easel@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        import psycopg

        name = f"easel_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def empty_tables(self) -> str:
        """The URL of the one database that has Easel's tables already, without rows."""
        import psycopg

        if self._with_tables:
            with psycopg.connect(self._with_tables, autocommit=True) as connection:
                connection.execute(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
        else:
            self._with_tables = self.new_database()
            Database(self._with_tables).close()
        return self._with_tables

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._programs / program, *arguments], cwd=self.folder, check=False, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **self._user)
        if done.returncode:
            raise NoServer(f"{program} says {done.stderr.strip()}")


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Raises NoServer."""
    with TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
