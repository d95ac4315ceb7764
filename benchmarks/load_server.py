"""The server of the load benchmark: the real application over the fake worker, which measures its own event loop.

    python -m benchmarks.load_server FOLDER PEOPLE
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path

BEAT = 0.01         # seconds between two looks at the clock


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
    late: list[float] = []
    busy: list[float] = []

    class Measured(Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            self.beat = asyncio.create_task(_watch_the_clock(late, busy))

    try:
        app = create_app(backend)
        ui.mount(app, backend, path="/")
        build_routes(app)   # as app.py does, and
        gc.freeze()
        with bound(settings) as listener, contextlib.suppress(KeyboardInterrupt, SystemExit):
            Measured(app, backend).run(sockets=[listener])
    finally:
        backend.close()
        cuts = statistics.quantiles(late, n=100)
        (folder / "server.json").write_text(json.dumps({"p50": round(cuts[49], 4), "p95": round(cuts[94], 4),
                                                       "most": round(max(late), 4), "busy": round(max(busy), 4)}))


async def _watch_the_clock(late: list[float], busy: list[float]) -> None:
    """How late the loop comes back, and how much of that it worked itself: the rest it waited for a processor."""
    while True:
        before, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(BEAT)
        late.append(time.perf_counter() - before - BEAT)
        busy.append(time.thread_time() - worked)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
