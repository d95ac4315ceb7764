"""The web server before an empty front door, with few open files: `python -m tests.pure.crowded_server FOLDER FILES`.

A number on its input is from then on how many seconds a request's headers may take.
"""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path

from app import bound
from backend import logs
from backend.http import connections, create_app
from backend.http.server import Server
from backend.settings import Settings
from tests.pure.door import Door

HEAD_SECONDS = 14.0     # others must be answered before it is over


def obey() -> None:
    for line in sys.stdin:
        connections.HEAD_SECONDS = float(line)


def main(folder: Path, files: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    logs.set_up("text")
    connections.HEAD_SECONDS = HEAD_SECONDS
    threading.Thread(target=obey, daemon=True).start()
    settings = Settings(data=folder, port=0)
    door = Door(settings)
    door.start_workers = lambda: None
    with bound(settings) as listener:
        Server(create_app(door), door).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
