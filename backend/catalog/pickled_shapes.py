"""The names and shapes of the tensors in a pickle, worked out without an unpickler: nothing in the file is ever run.

The opcodes are walked on a stack of a few inert values: text, numbers, tuples, tables keyed by text, shapes, and one
stand-in for everything else. No value is hashed but text and none is copied, so that each opcode costs a bounded time
and the memory stays in proportion to the bytes that are read.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

MAX_OPCODES = 1_000_000     # a checkpoint of 2,500 tensors has about 80,000
MAX_SIZE = 1 << 48          # of one side of a tensor
MAX_SIDES = 16


class BrokenPickle(ValueError):
    """The pickle is cut off, too large, or does what no table of tensors does."""


class MoreThanTensors(BrokenPickle):
    """The pickle names a class or a function that no table of tensors needs, and which opening it could run."""


class Opaque:
    """Stands for whatever has no meaning here."""

    __slots__ = ()


class Named(Opaque):
    """A function or class that the pickle names."""

    __slots__ = ("name",)

    def __init__(self, module: Any, name: Any) -> None:
        """Raises MoreThanTensors for what is no data."""
        self.name = (module, name) if isinstance(module, str) and isinstance(name, str) else ("", "")
        if not _DATA.fullmatch(".".join(self.name)):
            raise MoreThanTensors(".".join(self.name)[:_SHOWN])


class Shape(tuple):
    """What is left of a tensor: the length of each side."""

    __slots__ = ()


OPAQUE = Opaque()
_MARK = Opaque()
_REBUILDS = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")}
_WRAPS = {("torch._utils", "_rebuild_parameter")}
_TABLE = ("collections", "OrderedDict")
_PARAMETERS = ("torch.nn.modules.container", "ParameterDict")      # in which early embeddings keep their vectors
_KEPT_PARAMETERS = 16
_DATA = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(__builtin__|builtins)\.(bytes|bytearray|complex|set|frozenset)"
    r"|torch(\.cuda|\.sparse)*\.\w*(Storage|Tensor)|torch\.storage\.(Typed|Untyped)Storage|torch\.(Size|device)"
    r"|torch\.(b?complex|b?float|bits|u?int|bool|qu?int)\w*|torch\.per_\w+|torch\.serialization\._get_layout"
    r"|torch\.(_utils|_tensor)\._rebuild_\w+|torch\.nn\.parameter\.Parameter"
    r"|torch\.nn\.modules\.container\.ParameterDict"
    r"|numpy\.dtype|numpy\._?core\.multiarray\.scalar|pytorch_lightning\.callbacks\.model_checkpoint\.ModelCheckpoint")
"""All that a pickle may name: plain values, what tensors are made of, what trainers wrote beside (`tensor_files`)."""
_SHOWN = 80         # characters of a name in an error


def read_pickle(content: bytes, skipped: int = 0) -> Any:
    """What the pickle builds, as inert values, after `skipped` pickles before it. Raises BrokenPickle.

    MoreThanTensors, which is one, for a pickle that names any class or function but those of tensors.
    """
    file = io.BytesIO(content)
    budget = MAX_OPCODES
    try:
        for _ in range(skipped):
            budget -= _Interpreter().run(file, budget)
        interpreter = _Interpreter()
        interpreter.run(file, budget)
    except MoreThanTensors:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError) as error:
        raise BrokenPickle(str(error)) from error
    return interpreter.result


class _Interpreter:
    """Runs one pickle up to its STOP."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def run(self, file: io.BytesIO, budget: int) -> int:
        """How many opcodes it took. Raises BrokenPickle over `budget`, IndexError for a stack that is too short."""
        count = 0
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file), 1):
            if count > budget:
                raise BrokenPickle("the pickle has too many opcodes")
            act = self._ACTS.get(opcode.name)
            if act:
                act(self, argument)
            else:
                self._plain(opcode, argument)
        return count

    def _plain(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """An opcode that only takes values off the stack and puts a literal or something opaque onto it."""
        before = opcode.stack_before
        if pickletools.markobject in before:
            self._to_mark()
            before = before[:before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        literal = argument if isinstance(argument, str | int) else OPAQUE
        self.stack.extend([literal] * len(opcode.stack_after))

    def _to_mark(self) -> list[Any]:
        """Everything above the last mark, taken off with it."""
        above: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            above.append(value)
        above.reverse()
        return above

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _stop(self, _: Any) -> None:
        self.result = self.stack.pop()

    def _copy(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._to_mark()))

    def _tuple_of(self, length: int) -> None:
        if len(self.stack) < length:
            raise IndexError("the stack is too short")
        values = tuple(self.stack[len(self.stack) - length:])
        del self.stack[len(self.stack) - length:]
        self.stack.append(values)

    def _empty_table(self, _: Any) -> None:
        self.stack.append({})

    def _table(self, _: Any) -> None:
        self.stack.append(_filled({}, self._to_mark()))

    def _set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _filled(self.stack[-1], [key, value])

    def _set_items(self, _: Any) -> None:
        values = self._to_mark()
        _filled(self.stack[-1], values)

    def _global(self, names: str) -> None:
        module, _, name = names.partition(" ")
        self.stack.append(Named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Named(module, name))

    def _instance(self, names: str) -> None:
        self._to_mark()
        self._global(names)

    def _call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(_called(function, arguments))

    def _new(self, _: Any) -> None:
        _, made = self.stack.pop(), self.stack.pop()
        self.stack.append({} if isinstance(made, Named) and made.name == _PARAMETERS else OPAQUE)

    def _build(self, _: Any) -> None:
        """The object stays as it is, but for a new table that gets its first parameters; there must be one."""
        state, made = self.stack.pop(), self.stack[-1]
        held = state.get("_parameters") if isinstance(state, dict) else None
        if isinstance(made, dict) and not made and isinstance(held, dict):
            made.update(islice(held.items(), _KEPT_PARAMETERS))

    _ACTS: ClassVar[dict[str, Callable[[Any, Any], None]]] = {
        "MARK": _mark, "POP_MARK": _pop_mark, "STOP": _stop, "DUP": _copy,
        "PUT": _put, "BINPUT": _put, "LONG_BINPUT": _put, "MEMOIZE": _memoize,
        "GET": _get, "BINGET": _get, "LONG_BINGET": _get,
        "TUPLE": _tuple, "EMPTY_TUPLE": lambda self, _: self._tuple_of(0), "TUPLE1": lambda self, _: self._tuple_of(1),
        "TUPLE2": lambda self, _: self._tuple_of(2), "TUPLE3": lambda self, _: self._tuple_of(3),
        "EMPTY_DICT": _empty_table, "DICT": _table, "SETITEM": _set_item, "SETITEMS": _set_items,
        "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "INST": _instance, "REDUCE": _call, "NEWOBJ": _new,
        "BUILD": _build,
    }


def _filled(table: Any, flat: list[Any]) -> Any:
    """The table with keys and values that follow each other in `flat`; only a table is filled.

    Only text is a key, and numbers as text.

    Raises BrokenPickle for tuples in a tuple as key: to hash them takes a real unpickler exponential time.
    """
    for key, value in zip(flat[::2], flat[1::2], strict=False):
        if isinstance(key, str):
            if isinstance(table, dict):
                table[key] = value
        elif type(key) is int and isinstance(table, dict) and 0 <= key < MAX_SIZE:
            table[str(key)] = value
        elif isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
            raise BrokenPickle("a key of nested tuples")
    return table


def _called(function: Any, arguments: Any) -> Any:
    """What a call gives: a tensor's shape, a parameter's tensor, an ordered table, or something opaque."""
    if not isinstance(function, Named) or not isinstance(arguments, tuple):
        return OPAQUE
    if function.name in _REBUILDS and len(arguments) > 2:
        return _shape(arguments[2])
    if function.name in _WRAPS and arguments:
        return arguments[0]
    return {} if function.name == _TABLE else OPAQUE


def _shape(sides: Any) -> Any:
    """Sides as a shape where they are whole numbers of a sensible size."""
    if not isinstance(sides, tuple) or len(sides) > MAX_SIDES:
        return OPAQUE
    return Shape(sides) if all(isinstance(n, int) and 0 <= n < MAX_SIZE for n in sides) else OPAQUE
