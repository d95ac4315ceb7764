"""Where a file below a data folder really lies: links are followed before anything is read."""

from __future__ import annotations

import os
from pathlib import Path


def leads_inside(folder: Path, file: Path) -> bool:
    """Whether `file` lies below `folder` when all links on the way are followed; `folder` itself may be one."""
    return os.path.realpath(file).startswith(os.path.realpath(folder) + os.sep)
