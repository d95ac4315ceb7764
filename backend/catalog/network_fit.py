"""Which layers of a network file fit which modules of a checkpoint, told from names and shapes alone.

Both sides use it: the front before a job is queued, from the headers of two files, and the worker with a loaded model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from backend.catalog.headers import Shapes
from backend.catalog.network_kinds import Ambiguous, LayerKind, Misshapen, Shape, check_numbers, kind_of, matrix
from backend.catalog.network_names import BUNDLED, candidates, flat, plain_name, resnets_of, split_name

Modules = Mapping[str, Mapping[str, Shape]]
"""Component ("unet", "text_encoder", ...) -> flat module name -> shape of its weights."""

Prefixes = Mapping[str, tuple[str, ...]]
"""Component -> how the flat names of its modules begin in network files."""

PADDED = "conv_in"          # of inpainting and edit networks it takes more channels than that of the plain one
UNKNOWN_WORDS, NO_MODULE, OTHER_SIZE = "unknown names", "no such layer here", "another size"


@dataclass(frozen=True, slots=True)
class Layer:
    """What a file holds for one module: `tensors` by part are names in the file.

    `columns`: how many numbers of each row of the module's weights it changes, fewer than there are for a padded one.
    """

    component: str
    module: str             # flat
    kind: str
    tensors: Mapping[str, str]
    columns: int


@dataclass(frozen=True, slots=True)
class Fit:
    """`layers` can be used; `left_out` counts the others by the reason, with the first name of each."""

    layers: tuple[Layer, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All layers of the file."""
        return len(self.layers) + sum(self.left_out.values())

    def told(self) -> str:
        """For people: "212 of 230 layers (18: no such layer here, such as lora_unet_x)"."""
        why = [f"{count}: {reason}, such as {self.examples[reason][:80]}" for reason, count in self.left_out.items()]
        return f"{len(self.layers)} of {self.total} layers" + (f" ({'; '.join(why)})" if why else "")


def fit(shapes: Shapes, modules: Modules, prefixes: Prefixes) -> Fit:
    """Sort the tensors of a network file to the modules of a checkpoint."""
    resnets = resnets_of(modules.get("unet", ()))
    grouped, strange = by_module(shapes)
    layers: list[Layer] = []
    reasons: Counter[str] = Counter({UNKNOWN_WORDS: len(strange)} if strange else {})
    examples = {UNKNOWN_WORDS: strange[0]} if strange else {}
    for module, tensors in grouped.items():
        found = _fitted(module, tensors, shapes, modules, prefixes, resnets)
        if isinstance(found, Layer):
            layers.append(found)
        else:
            reasons[found] += 1
            examples.setdefault(found, module)
    return Fit(tuple(layers), dict(reasons), examples)


def by_module(shapes: Shapes) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Module as the file names it -> part -> tensor's name; and names that no word is known of."""
    grouped: dict[str, dict[str, str]] = {}
    strange: list[str] = []
    for name in shapes:
        if name.startswith(BUNDLED):
            continue
        if found := split_name(name):
            grouped.setdefault(found[0], {})[found[1]] = name
        else:
            strange.append(name)
    return grouped, strange


def _fitted(
    module: str, tensors: Mapping[str, str], shapes: Shapes, modules: Modules, prefixes: Prefixes, resnets: int
) -> Layer | str:
    """The layer, or why it cannot be used. A bare name can mean either of two text encoders: the size decides."""
    parts = {part: shapes[name] for part, name in tensors.items()}
    kind = kind_of(parts)
    if kind is None:
        return UNKNOWN_WORDS
    why = NO_MODULE
    for component, flat_prefixes in prefixes.items():
        for name in candidates(flat(module), flat_prefixes):
            plain = plain_name(component, name, resnets)
            weight = modules.get(component, {}).get(plain)
            if weight is not None:
                try:
                    if columns := _columns(kind, parts, weight, plain):
                        return Layer(component, plain, kind.name, tensors, columns)
                except Ambiguous as error:
                    return str(error)
                why = OTHER_SIZE
    return why


def _columns(kind: LayerKind, parts: Mapping[str, Shape], weight: Shape, module: str) -> int:
    """See `Layer`; 0 where it does not fit. Raises Ambiguous."""
    try:
        size = kind.size(parts, weight)
        check_numbers(parts, (*weight[:1], *(size[1] // prod(weight[2:]) for _ in weight[1:2]), *weight[2:]))
    except Ambiguous:
        raise
    except (Misshapen, LookupError, ValueError):
        return 0
    fits = size == matrix(weight) or module == PADDED and size[0] == weight[0] and _padded(size, weight)
    return size[1] if fits else 0


def _padded(size: tuple[int, int], weight: Shape) -> bool:
    """Whether it is the same convolution for fewer channels."""
    kernel = matrix(weight)[1] // weight[1]
    return size[1] < matrix(weight)[1] and size[1] % kernel == 0
