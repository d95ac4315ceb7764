"""Runs the benchmarks and writes their figures, a table and a plot to benchmarks/results/.

    python -m benchmarks                      everything that this machine can do
    python -m benchmarks engine packed        only these
    python -m benchmarks --device cuda        on a graphics card

Every ratio compares things that took turns in the same run, so a machine that is busy or slow shifts both sides.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from benchmarks import (
    busy_machine,
    cluster_simulation,
    engine,
    first_visit,
    guides,
    history,
    load,
    lossy_presets,
    networks,
    packed,
    pictures,
    plot_page,
    plots,
    sdxl,
    startup,
    upscale,
)
from benchmarks.report import table, write_plot

RESULTS = Path(__file__).parent / "results"
STAGES = {
    "startup": startup.measure, "first visit": first_visit.measure, "plot page": plot_page.measure,
    "load": load.measure, "history": history.measure,
    "upscale": upscale.measure,
    "packed": packed.measure, "engine": engine.measure, "busy machine": busy_machine.measure,
    "pictures": pictures.measure, "networks": networks.measure, "guides": guides.measure, "plots": plots.measure,
    "sdxl": sdxl.measure, "lossy presets": lossy_presets.measure,
    "cluster": cluster_simulation.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], help="which; all when none is named")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    file = RESULTS / f"{'cpu' if engine.on_cpu(chosen.device) else 'cuda'}.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    RESULTS.mkdir(exist_ok=True)
    for name in chosen.stages or STAGES:
        results[name] = STAGES[name](chosen.device)
        print(json.dumps({name: results[name]}, indent=2), flush=True)
        file.write_text(json.dumps(results, indent=2) + "\n")
    file.with_suffix(".md").write_text(table(results))
    write_plot(results, file.with_suffix(".png"))



if __name__ == "__main__":
    main()
