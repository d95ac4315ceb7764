"""A front with a fake worker as a process of its own: python -m tests.tiny.front_process FOLDER URL. Ends with its input."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.tiny.house import open_house


def main(folder: str, url: str) -> None:
    backend = open_house(Path(folder), database_url=url).backend
    print("ready", flush=True)
    sys.stdin.read()
    backend.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
