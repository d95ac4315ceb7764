"""The network files that the prompts of a request name, and whether they go with its checkpoint: told from headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from backend.catalog.adapters import hypernetwork_widths
from backend.catalog.families import FAMILIES, base
from backend.catalog.headers import read_shapes
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import EMBEDDING, HYPERNETWORK, LORA, FileKey, ModelFile
from backend.catalog.module_shapes import modules_of
from backend.catalog.network_fit import fit
from backend.catalog.peft_rotations import shapes_told
from backend.errors import CheckpointError, NotFound, Problem
from backend.prompt.embedding_names import mentioned
from backend.prompt.grammar import Network, networks
from backend.prompt.network_terms import HYPERNET, LORAS, TERM_KINDS, TermError, read_term
from backend.request.choices import EXTRAS
from backend.request.detailer import flat_texts, is_on, said
from backend.request.record import place
from backend.request.request import RESOLVED, Request

FILE_KINDS: Mapping[str, str] = {**dict.fromkeys(LORAS, LORA), HYPERNET: HYPERNETWORK}
"""A prompt's word for networks -> the kind of their files."""

PROMPTS = ("prompt", "hr_prompt")
MOST_TOLD = 5           # problems of one field; of more their number is told


def named_networks(request: Request) -> Iterator[tuple[str, Network]]:
    """(field, network) for everything that a prompt of any of the pictures names and that is a file; some repeat."""
    if request.process == EXTRAS:
        return
    for field in PROMPTS if request.enable_hr else PROMPTS[:1]:
        texts = getattr(request, RESOLVED[field]) or (getattr(request, field),)
        for text in dict.fromkeys(texts):
            yield from ((field, network) for network in networks(text)[1] if network.kind in TERM_KINDS)
    for number, unit in enumerate(request.detailers):
        texts = said(request.detailers, request.detailer_texts, number) if is_on(unit) else []
        named = [network for text, _ in texts for network in networks(text)[1]]
        yield from ((place("detailers", number, "prompt"), network) for network in named if network.kind in TERM_KINDS)


def embeddings_named(request: Request, catalog: ModelCatalog) -> dict[FileKey, ModelFile]:
    """By kind and name, the embeddings whose names stand in any text of the request."""
    files = {embedding_name(file): file for file in catalog.usable(EMBEDDING)} if request.process != EXTRAS else {}
    if not files:
        return {}
    texts = [text for field, resolved in RESOLVED.items()
             for text in (getattr(request, resolved) or (getattr(request, field),))]
    texts += request.detailer_texts or flat_texts(request.detailers, {})
    return {(EMBEDDING, name): files[name] for name in mentioned(files, "\n".join(dict.fromkeys(texts)))}


def vector_counts(text: str, catalog: ModelCatalog, family: str) -> dict[str, int]:
    """How many tokens the embeddings take whose names stand in a text, by name; those of other families are words.

    Also those that lie in the files of LoRAs which the text names.
    """
    words = {embedding_name(file): file.facts["vectors"] for file in catalog.usable(EMBEDDING)
             if not file.family or base(file.family) == base(family)}
    for file in _named(text, [file for file in catalog.usable(LORA) if file.facts.get("bundled")]):
        words |= file.facts["bundled"]
    return {name: words[name] for name in mentioned(words, text)}


def _named(text: str, files: Sequence[ModelFile]) -> list[ModelFile]:
    """Those of these LoRAs that a text names."""
    said = {network.positional[0].strip().casefold() for network in networks(text)[1]
            if network.kind in LORAS and network.positional} if files else set()
    return [file for file in files if not said.isdisjoint((file.key.casefold(), file.facts["alias"].casefold()))]


def embedding_name(file: ModelFile) -> str:
    """How prompts call an embedding: as its file, a card by the name that it tells."""
    return file.facts.get("alias") or file.key


def network_names(request: Request) -> dict[tuple[str, str], str]:
    """(kind of file, name) -> the field that names it first, for each file that is needed."""
    found: dict[tuple[str, str], str] = {}
    for field, network in named_networks(request):
        name = network.positional[0].strip() if network.positional else ""
        if name:
            found.setdefault((FILE_KINDS[network.kind], name), field)
    return found


class Misfits:
    """Answers of `misfit`, each found once: for requests that name the same networks, shortly after each other."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], str] = {}

    def of(self, file: ModelFile, checkpoint: ModelFile) -> str:
        """As `misfit`."""
        key = file.kind, file.key, checkpoint.key
        if key not in self._known:
            self._known[key] = misfit(file, checkpoint)
        return self._known[key]


def network_problems(
    request: Request, catalog: ModelCatalog, checkpoint: ModelFile, misfits: Misfits | None = None
) -> list[Problem]:
    """What is wrong with the networks that the prompts name: how they are written, and which files they are.

    `misfits` are the answers that are known already, and take the new ones.
    """
    misfits = misfits or Misfits()
    problems = []
    for field, network in named_networks(request):
        try:
            read_term(network)
        except TermError as error:
            problems.append(Problem(str(error), field))
    for (kind, name), field in network_names(request).items():
        try:
            file = catalog.find(kind, name)
            why = f": {file.problem}" if file.problem else misfits.of(file, checkpoint)
        except (NotFound, CheckpointError) as error:
            problems += error.about(field)
        else:
            problems += [Problem(f"{file.key}{why}", field)] if why else []
    return list(_told(dict.fromkeys(problems)))


def _told(problems: Iterable[Problem]) -> Iterator[Problem]:
    by_field: dict[str, list[Problem]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem)
    for field, found in by_field.items():
        yield from found[:MOST_TOLD]
        if len(found) > MOST_TOLD:
            yield Problem(f"names {len(found) - MOST_TOLD} more that cannot be used", field)


def misfit(file: ModelFile, checkpoint: ModelFile) -> str:
    """Why a network does not go with a checkpoint, what follows its name; "" when it does.

    What is made for another family does not, though a few of its layers may have the same name and size by chance.
    Raises CheckpointError.
    """
    if file.kind == HYPERNETWORK:
        return _misfit_of_widths(file, checkpoint)
    family = FAMILIES.get(checkpoint.family)
    found = fit(shapes_told(Path(file.path)), modules_of(checkpoint), family.networks if family else {})
    if not found.total:
        return " holds no network that Easel knows"
    if found.left_out and (other := two_families(file, checkpoint)):
        return f"{other}: {found.told()}"
    return "" if found.layers else f" changes nothing on {checkpoint.key} ({_label(checkpoint.family)}): {found.told()}"


def _misfit_of_widths(file: ModelFile, checkpoint: ModelFile) -> str:
    there = {shape[-1] for name, shape in modules_of(checkpoint).get("unet", {}).items() if name.endswith("_to_k")}
    own = hypernetwork_widths(read_shapes(Path(file.path)))
    if own - there and (other := two_families(file, checkpoint)):
        return other
    return "" if own & there else f" changes nothing on {checkpoint.key}, which is {_label(checkpoint.family)}"


def two_families(file: ModelFile, checkpoint: ModelFile) -> str:
    """Behind a file's name: that it is for another family than a checkpoint's; "" where it is not, or nobody knows."""
    if not file.family or not checkpoint.family or base(file.family) == base(checkpoint.family):
        return ""
    own, other = _label(file.family), _label(checkpoint.family)
    return f" is made for {own} and does not go with {checkpoint.key}, which is {other}"


def _label(family: str) -> str:
    return FAMILIES[family].label if family in FAMILIES else "another family"
