"""The names and shapes of the tensors in a pickle, worked out without an unpickler: nothing in the file is ever run.

The opcodes are walked on a stack of a few inert values: text, numbers, tuples, tables keyed by text, shapes, and one
stand-in for everything else. No value is hashed but text and none is copied, so that each opcode costs a bounded time
and the memory stays in proportion to the bytes that are read.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from backend.catalog.pickle_calls import BYTES, is_harmless

MAX_OPCODES = 1_000_000     # a checkpoint of 2,500 tensors has about 80,000
MAX_SIZE = 1 << 48          # of one side of a tensor
MAX_SIDES = 16
MAX_TUPLE = 1_000           # values in a tuple and in the tuples in it: whoever uses it as a key walks through all


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
        self.name = (module, name) if isinstance(module, str) and isinstance(name, str) else ("", "")


class Shape(tuple):
    """What is left of a tensor: the length of each side, and the `bytes` that all its numbers take."""

    bytes = 0


class Stored(Opaque):
    """Where numbers of tensors lie: how many, and how many bytes each takes."""

    __slots__ = ("length", "width")

    def __init__(self, length: int, width: int) -> None:
        self.length, self.width = length, width


OPAQUE = Opaque()
_MARK = Opaque()
_REBUILDS = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"),
             ("torch._utils", "_rebuild_tensor_v3")}
_WRAPS = {("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state")}
_TYPED = ("torch._tensor", "_rebuild_from_type_v2")         # which function, of which class, with which arguments
_TABLE = ("collections", "OrderedDict")
_WIDTHS = {"ComplexDouble": 16, "Double": 8, "Long": 8, "ComplexFloat": 8, "Float": 4, "Int": 4, "Half": 2,
           "BFloat16": 2, "Short": 2}       # bytes of a number in torch's storages; 1 in all others
_SIZE = ("torch", "Size")
_PARAMETERS = ("torch.nn.modules.container", "ParameterDict")      # in which early embeddings keep their vectors
_KEPT_PARAMETERS = 16
_DATA = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(__builtin__|builtins)\.(bytes|bytearray|complex|set|frozenset)"
    r"|torch(\.cuda|\.sparse)*\.\w*(Storage|Tensor)|torch\.storage\.(Typed|Untyped)Storage|torch\.(Size|device)"
    r"|torch\.(b?complex|b?float|bits|u?int|bool|qu?int)\w*|torch\.per_\w+|torch\.serialization\._get_layout"
    r"|torch\._utils\._rebuild_(tensor(_v[23])?|parameter(_with_state)?)|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.nn\.parameter\.Parameter"
    r"|torch\.nn\.modules\.container\.ParameterDict"
    r"|numpy\.dtype|numpy\._?core\.multiarray\.scalar|pytorch_lightning\.callbacks\.model_checkpoint\.ModelCheckpoint")
"""All that a pickle may name: plain values, what tensors are made of, what trainers wrote beside (`tensor_files`)."""
_SHOWN = 80         # characters of a name in an error


def read_pickle(content: bytes, skipped: int = 0) -> Any:
    """What the pickle builds, as inert values, after `skipped` pickles before it. Raises BrokenPickle.

    MoreThanTensors, which is one, for a pickle that names any class or function but those of tensors, or would call one
    of those in a way that none does.
    """
    return built(Interpreter, content, skipped)


def built(kind: type[Interpreter], content: bytes, skipped: int = 0) -> Any:
    """The same by an interpreter of one's own."""
    file = io.BytesIO(content)
    budget = MAX_OPCODES
    try:
        for _ in range(skipped):
            budget -= kind().run(file, budget)
        interpreter = kind()
        interpreter.run(file, budget)
    except MoreThanTensors:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError) as error:
        raise BrokenPickle(str(error)) from error
    return interpreter.result


class Interpreter:
    """Runs one pickle up to its STOP. A subclass may make more of what is named, called and built."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None
        self._nested: dict[int, tuple[tuple[Any, ...], int]] = {}     # tuples of tuples, and how much is in all

    def run(self, file: io.BytesIO, budget: int) -> int:
        """How many opcodes it took. Raises BrokenPickle over `budget`, IndexError for a stack that is too short."""
        count = 0
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file), 1):
            if count > budget:
                raise BrokenPickle("the pickle has too many opcodes")
            act = self.acts.get(opcode.name)
            if act:
                act(self, argument)
            else:
                self._plain(opcode, argument)
        return count

    def named(self, module: Any, name: Any) -> Any:
        """A class or function. Raises MoreThanTensors for what is no data."""
        found = Named(module, name)
        if not _DATA.fullmatch(".".join(found.name)):
            raise MoreThanTensors(".".join(found.name)[:_SHOWN])
        return found

    def called(self, function: Any, arguments: Any) -> Any:
        """What a call gives: a tensor's shape, a parameter's tensor, an ordered table, or something opaque.

        Raises MoreThanTensors for a call that is not harmless.
        """
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            return OPAQUE
        if function.name in _REBUILDS and len(arguments) > 2:
            return self.tensor(arguments)
        if function.name in _WRAPS and arguments:
            return arguments[0]
        if function.name == _TYPED and len(arguments) > 2:
            return self.called(arguments[0], arguments[2]) if arguments[0] is not function else OPAQUE
        self.check(".".join(function.name), arguments)
        return {} if function.name == _TABLE else arguments[0] if function.name == _SIZE and arguments else OPAQUE

    def check(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Raises MoreThanTensors for a call that would take more than what is told of it in the file."""
        if not is_harmless(name, arguments):
            raise MoreThanTensors(name[:_SHOWN])

    def tensor(self, arguments: tuple[Any, ...]) -> Any:
        """The shape of a tensor that is made of storage, offset, sides, strides and so on."""
        storage, offset, sides, strides = (*arguments, OPAQUE)[:4]
        shape = shape_of(sides)
        return _within(storage, offset, shape, shape_of(strides)) if isinstance(storage, Stored) else shape

    def new(self, made: Any) -> Any:
        """What is kept of a new object of the class `made`."""
        return {} if isinstance(made, Named) and made.name == _PARAMETERS else OPAQUE

    def build(self, made: Any, state: Any) -> None:
        """The object stays as it is, but for a new table that gets its first parameters."""
        held = state.get("_parameters") if isinstance(state, dict) else None
        if isinstance(made, dict) and not made and isinstance(held, dict):
            made.update(islice(held.items(), _KEPT_PARAMETERS))

    def _plain(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """An opcode that only takes values off the stack and puts a literal or something opaque onto it."""
        before = opcode.stack_before
        if pickletools.markobject in before:
            self._to_mark()
            before = before[:before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        literal = argument if isinstance(argument, str | int) else BYTES if isinstance(argument, bytes) else OPAQUE
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
        self._push(tuple(self._to_mark()))

    def _tuple_of(self, length: int) -> None:
        if len(self.stack) < length:
            raise IndexError("the stack is too short")
        values = tuple(self.stack[len(self.stack) - length:])
        del self.stack[len(self.stack) - length:]
        self._push(values)

    def _push(self, values: tuple[Any, ...]) -> None:
        """Raises BrokenPickle for a tuple with too much in it: a few bytes make one that grows without bound."""
        inner = [each for each in values if isinstance(each, tuple)]
        held = len(values) + sum(self._nested[id(each)][1] if id(each) in self._nested else len(each) for each in inner)
        if held > MAX_TUPLE:
            raise BrokenPickle("a tuple with too much in it")
        if inner:
            self._nested[id(values)] = values, held
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
        self.stack.append(self.named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self.named(module, name))

    def _instance(self, names: str) -> None:
        self._to_mark()
        self._global(names)

    def _call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self.called(function, arguments))

    def _new(self, _: Any) -> None:
        arguments, made = self.stack.pop(), self.stack.pop()
        if isinstance(made, Named):
            self.check(".".join(made.name), arguments if isinstance(arguments, tuple) else ())
        self.stack.append(self.new(made))

    def _stored(self, _: Any) -> None:
        """What names a storage: its kind, key, device and length."""
        match self.stack.pop():
            case (_, Named(name=(_, kind)), str(), _, int(length), *_):
                self.stack.append(Stored(length, _WIDTHS.get(kind.removesuffix("Storage"), 1)))
            case _:
                self.stack.append(OPAQUE)

    def _build(self, _: Any) -> None:
        """There must be an object."""
        state = self.stack.pop()
        self.build(self.stack[-1], state)

    acts: ClassVar[dict[str, Callable[[Any, Any], None]]] = {
        "MARK": _mark, "POP_MARK": _pop_mark, "STOP": _stop, "DUP": _copy,
        "PUT": _put, "BINPUT": _put, "LONG_BINPUT": _put, "MEMOIZE": _memoize,
        "GET": _get, "BINGET": _get, "LONG_BINGET": _get,
        "TUPLE": _tuple, "EMPTY_TUPLE": lambda self, _: self._tuple_of(0), "TUPLE1": lambda self, _: self._tuple_of(1),
        "TUPLE2": lambda self, _: self._tuple_of(2), "TUPLE3": lambda self, _: self._tuple_of(3),
        "EMPTY_DICT": _empty_table, "DICT": _table, "SETITEM": _set_item, "SETITEMS": _set_items,
        "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "INST": _instance, "REDUCE": _call, "NEWOBJ": _new,
        "BUILD": _build, "BINPERSID": _stored,
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


def shape_of(sides: Any) -> Any:
    """Sides as a shape where they are whole numbers of a sensible size."""
    if not isinstance(sides, tuple) or len(sides) > MAX_SIDES:
        return OPAQUE
    return Shape(sides) if all(isinstance(n, int) and 0 <= n < MAX_SIZE for n in sides) else OPAQUE


def _within(storage: Stored, offset: Any, shape: Any, strides: Any) -> Shape:
    """The shape. Raises BrokenPickle for a tensor that does not lie in its storage: torch may enlarge that for it."""
    if type(offset) is not int or offset < 0 or not isinstance(shape, Shape) or not isinstance(strides, Shape):
        raise BrokenPickle("a tensor of no shape")
    count = math.prod(shape)
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if count and last >= storage.length:
        raise BrokenPickle("a tensor that does not lie in its storage")
    shape.bytes = count * storage.width
    return shape
