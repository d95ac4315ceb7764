"""Importing Gradio without its type stubs.

While it is imported, it parses the source of each of its components and writes a file for editors beside it: that takes
a third of the start, and changes what is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

WRITER = "gradio.component_meta", "create_or_modify_pyi"


class _Finder(MetaPathFinder):
    """Finds the module that writes them, and takes that from it when it has been run."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        module, writer = WRITER
        spec = PathFinder.find_spec(name, path, target) if name == module else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_silence(loaded: ModuleType) -> None:
            run(loaded)
            setattr(loaded, writer, lambda *_: None)

        spec.loader.exec_module = run_and_silence
        return spec


def leave_out() -> None:
    """From now on, if Gradio has not been imported yet."""
    sys.meta_path.insert(0, _Finder())
