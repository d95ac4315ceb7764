"""A worker that says how it was started and ends."""

import gc
import os
import sys
from multiprocessing.connection import Connection

from backend.dispatch.worker_handle import WAITING
from backend.messages import Refused


def main(connection: Connection, device: str, policy: str, extensions: tuple[str, ...]) -> None:
    told = {name: os.environ.get(name) for name in WAITING}
    garbage = "looked for" if gc.isenabled() and gc.get_freeze_count() > 5000 else "not looked for, or among modules"
    connection.send(Refused(f"{told} {'torch' in sys.modules} {garbage}"))
