"""Which calls in a pickle of tensors are harmless: those that torch's restricted unpickler would make from this file.

It makes every call of the functions and classes that it knows, with any arguments: `bytearray(10**10)` takes that many
bytes, text encoded as hexadecimal digits again and again doubles each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

BYTES = object()        # stands for bytes among arguments

Arguments = tuple[Any, ...]

_ENCODINGS = ("latin1", "latin-1", "ascii", "utf-8")
_NUMBERS = re.compile(r"[<>=|]?([?biufc]\d{0,2}|[SUa]\d{1,3})")      # NumPy's names of formats


def is_harmless(name: str, arguments: Arguments) -> bool:
    """Whether calling this function or class takes no more than what is told of it in the file."""
    return name in _ALWAYS or name in _WITH and _WITH[name](arguments)


def _encodes_text(arguments: Arguments) -> bool:
    return len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] in _ENCODINGS


def _is_a_format(arguments: Arguments) -> bool:
    return bool(arguments) and isinstance(arguments[0], str) and bool(_NUMBERS.fullmatch(arguments[0]))


def _wraps_bytes(arguments: Arguments) -> bool:
    return all(each is BYTES for each in arguments)


_ALWAYS = frozenset({
    "collections.OrderedDict", "collections.Counter", "torch.nn.modules.container.ParameterDict",
    "torch.Size", "torch.device", "torch.serialization._get_layout", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar", "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    *(f"{module}.{kind}" for module in ("builtins", "__builtin__") for kind in ("set", "frozenset", "complex"))})
"""Whatever their arguments are: these hold what they are given, and are handed no tuples without end."""

_WITH: Mapping[str, Callable[[Arguments], bool]] = {
    "_codecs.encode": _encodes_text, "numpy.dtype": _is_a_format,
    **{f"{module}.{kind}": _wraps_bytes for module in ("builtins", "__builtin__") for kind in ("bytes", "bytearray")}}
