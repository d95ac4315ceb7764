"""One measurement in a process of its own; its figures are the last line of output, as JSON.

    python -m benchmarks.gpu.part [--rehearse] NAME [FAMILY [DTYPE]]
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.gpu import measures

MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "tests": measures.tests, "draw": measures.draw, "packed": measures.packed, "compiled": measures.compiled,
    "graphs": measures.graphs, "users": measures.users, "loras": measures.loras, "launch": measures.launch,
    "presets": measures.presets, "costs": measures.costs, "decode": measures.decode, "batch": measures.batch,
    "upscale": measures.upscale,
}


def main(arguments: list[str]) -> None:
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    tiny = arguments[0] == "--rehearse"
    name, *of = arguments[tiny:]
    try:
        found = MEASURES[name](*of, tiny=tiny)
    except ModuleNotFoundError as error:
        found = {"left out": f"{error.name} is not installed"}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
