"""Which errors of the libraries say that memory was too short."""

from __future__ import annotations

import torch

TORCH_SAYS = ("can't allocate memory", "out of memory")
OTHERS_SAY = {"cv2": ("Insufficient memory",), "onnxruntime": ("Failed to allocate memory", "bad_alloc")}
"""How libraries with errors of their own say that memory was too short, by a library's name."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too short, on the card or in the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text, library = str(error), type(error).__module__.partition(".")[0]
    words = TORCH_SAYS if isinstance(error, RuntimeError) else OTHERS_SAY.get(library, ())
    return any(each in text for each in words)
