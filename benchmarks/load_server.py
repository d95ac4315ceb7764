"""The server of the load benchmark: the real application over the fake worker, which measures its own event loop.

    python -m benchmarks.load_server FOLDER PEOPLE
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path

from benchmarks.loop_watch import LoopWatch


def main(folder: Path, people: int) -> None:
    os.environ.setdefault("GRADIO_TEMP_DIR", str(folder / "uploads"))
    import ui
    from app import bound
    from backend import Backend, Settings
    from backend.http import build_routes, create_app
    from backend.http.server import Server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))     # so that what was measured is written
    users = {f"user{number}": "benchmark" for number in range(people)}
    settings = Settings(data=folder / "data", port=0, users=users, device="cpu")
    backend = Backend(settings, worker="tests.tiny.fake_worker", start_workers=False)
    watch = LoopWatch()

    class Measured(Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            watch.start()

    try:
        app = create_app(backend)
        ui.mount(app, backend, path="/")
        build_routes(app)   # as app.py does, and
        gc.freeze()
        with bound(settings) as listener, contextlib.suppress(KeyboardInterrupt, SystemExit):
            Measured(app, backend).run(sockets=[listener])
    finally:
        backend.close()
        (folder / "server.json").write_text(json.dumps(watch.report()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
