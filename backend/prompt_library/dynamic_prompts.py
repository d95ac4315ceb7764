"""From what was typed to what is drawn: styles are merged into the prompts, comments taken out, wildcards filled in.

A job keeps both: `prompt` as typed, and in `prompts` and its sisters one text per picture (or one for all of them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, product
from random import Random
from typing import TypeVar

from backend.errors import InvalidRequest, Problem
from backend.prompt.comments import without_comments
from backend.prompt.expansion import LOTS, Expansion, Lookup
from backend.prompt.styles import apply_styles
from backend.prompt.variants import Parts, VariantError, is_plain, parse
from backend.prompt_library.styles_csv import Style, shown
from backend.request import detailer
from backend.request.choices import EXTRAS
from backend.request.cross_field_checks import MAX_PICTURES
from backend.request.field import MAX_PROMPT
from backend.request.request import RESOLVED, Request

T = TypeVar("T")
MAX_LETTERS = 5_000_000     # in all these prompts together: they are kept with the job
SECOND_PASS = {"hr_prompt": "prompt", "hr_negative_prompt": "negative_prompt"}
TEMPLATES = {"prompt": "template", "negative_prompt": "negative_template"}


def resolve(request: Request, styles: Iterable[Style], lookup: Lookup) -> Request:
    """The request with the texts of its pictures; itself where there is nothing to merge or to fill in.

    Its seeds must be drawn: each picture's choices come from its own. InvalidRequest names unknown styles and
    wildcards, wildcards that contain themselves, and too many pictures.
    """
    if request.prompts or request.process == EXTRAS:
        return request
    typed = _styled(request, _chosen(request, styles))
    texts = _commentless(request, typed)
    expanded = request.prompt_expansion != "Off"
    parts = {name: _parse(name, text) if expanded else (text,) for name, text in texts.items()}
    varied = [name for name, found in parts.items() if not is_plain(found)]
    changed = [name for name, text in typed.items() if name in varied or texts[name] != text]
    if not request.styles and not changed:
        return request
    templates = {TEMPLATES[name]: typed[name] for name in changed if name in TEMPLATES}
    expansion = Expansion(lookup, combinatorial=request.prompt_expansion == "Combinatorial")
    pictures = _expanded(request, parts, varied, expansion) if varied else [texts]
    return _with_texts(request, pictures).replace(**templates)


def picture_count(request: Request, styles: Iterable[Style], lookup: Lookup) -> int:
    """How many pictures a job of this request would make, also if more than it may. InvalidRequest as in `resolve`."""
    texts = _commentless(request, _styled(request, _chosen(request, styles)))
    if request.prompt_expansion != "Combinatorial":
        return request.count
    parts, expansion = {name: _parse(name, text) for name, text in texts.items()}, Expansion(lookup, combinatorial=True)
    return _combinations(request, _counts(parts, expansion))


def styled(prompt: str, negative: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Both prompts with the styles merged in, in their order."""
    chosen = list(styles)
    return (apply_styles((style.prompt for style in chosen), prompt),
            apply_styles((style.negative_prompt for style in chosen), negative))


def named(names: Iterable[str], styles: Iterable[Style]) -> list[Style]:
    """The styles of these names, in that order. InvalidRequest names those that are not there."""
    known = {style.name: style for style in styles}
    wanted = list(names)
    unknown = [name for name in dict.fromkeys(wanted) if name not in known]
    if unknown:
        raise InvalidRequest(f"There is no style called {', '.join(map(shown, unknown[:5]))}.", field="styles")
    return [known[name] for name in wanted]


def _chosen(request: Request, styles: Iterable[Style]) -> list[Style]:
    return named(request.styles, styles) if request.styles else []


def _styled(request: Request, chosen: list[Style]) -> dict[str, str]:
    """The texts that are drawn from, by field; those of the second pass only where they are texts of its own."""
    texts = {}
    for prompt, negative in (("prompt", "negative_prompt"), ("hr_prompt", "hr_negative_prompt")):
        texts[prompt], texts[negative] = styled(getattr(request, prompt), getattr(request, negative), chosen)
    for name in SECOND_PASS:
        if not request.enable_hr or not getattr(request, name) or _repeats(request, name):
            del texts[name]
    return texts | dict(detailer.typed(request.detailers))


def _commentless(request: Request, texts: Mapping[str, str]) -> dict[str, str]:
    return {name: without_comments(text) if request.prompt_comments else text for name, text in texts.items()}


def _repeats(request: Request, name: str) -> bool:
    """Whether a text of the second pass says what that of the first does, so that it must become the same."""
    return getattr(request, name) == getattr(request, SECOND_PASS[name])


def _parse(name: str, text: str) -> Parts:
    try:
        return parse(text)
    except VariantError as error:
        raise InvalidRequest(str(error), field=name) from error


def _expanded(request: Request, parts: Mapping[str, Parts], varied: list[str],
              expansion: Expansion) -> list[dict[str, str]]:
    """The texts of each picture. `varied` are the fields with something to fill in."""
    combinatorial = request.prompt_expansion == "Combinatorial"
    counts = _counts(parts, expansion)
    count = _combinations(request, counts if combinatorial else {})
    if count > MAX_PICTURES:
        raise InvalidRequest(problems=[_too_many(count, varied[0] if combinatorial else "batch_count")])
    variants = {name: _said_of(name, lambda found=found: expansion.variants(found)) for name, found in parts.items()}
    ways = list(islice(product(*variants.values()), MAX_PICTURES))
    pictures = ways * request.chains if combinatorial else [ways[i % len(ways)] for i in range(request.chains)]
    return [_drawn(request, number, dict(zip(parts, way, strict=True)), expansion)
            for number, way in enumerate(pictures)]


def _counts(parts: Mapping[str, Parts], expansion: Expansion) -> dict[str, int]:
    return {name: _said_of(name, lambda found=found: expansion.count(found)) for name, found in parts.items()}


def _combinations(request: Request, texts: Mapping[str, int]) -> int:
    """Pictures of a job that draws each combination of so many texts per field; more than LOTS are not told apart."""
    count = request.chains
    for number in texts.values():
        count = min(LOTS, count * number)
    return count * request.rounds


def _said_of(name: str, work: Callable[[], T]) -> T:
    """The result of `work`; what cannot be resolved is said of the field `name`."""
    try:
        return work()
    except (VariantError, RecursionError) as error:
        raise InvalidRequest(_sentence(error), field=name) from error


def _sentence(error: VariantError | RecursionError) -> str:
    return str(error) if isinstance(error, VariantError) else "is nested too deep"


def _too_many(count: int, field: str) -> Problem:
    number = f"{count:,}" if count < LOTS else f"more than {LOTS:,}"
    return Problem(f"would make {number} pictures; with wildcards and variants one job makes at most "
                   f"{MAX_PICTURES:,}", field)


def _drawn(
    request: Request, number: int, parts: Mapping[str, Parts], expansion: Expansion
) -> dict[str, str]:
    """The texts of picture `number`, by its own seed. Both passes draw alike, so that equal texts become equal ones."""
    seed = request.of_image(number * request.rounds).seed
    return {name: _said_of(name, lambda name=name, found=found: expansion.draw(
                found, Random(f"{SECOND_PASS.get(name, name)} {seed}"), number))
            for name, found in parts.items()}


def _with_texts(request: Request, pictures: list[dict[str, str]]) -> Request:
    _check_lengths(pictures)
    lists = {RESOLVED[name]: tuple(texts[name] for texts in pictures) for name in pictures[0] if name in RESOLVED}
    if lists.keys() != pictures[0].keys():
        details = (detailer.flat_texts(request.detailers, texts) for texts in pictures)
        lists["detailer_texts"] = tuple(text for texts in details for text in texts)
    following = {RESOLVED[name]: ("",) for name in SECOND_PASS if request.enable_hr and _repeats(request, name)}
    return request.replace(**following, **lists)


def _check_lengths(pictures: list[dict[str, str]]) -> None:
    too_long = [name for texts in pictures for name, text in texts.items() if len(text) > MAX_PROMPT]
    if too_long:
        raise InvalidRequest(f"becomes longer than {MAX_PROMPT:,} characters", field=too_long[0])
    if sum(len(text) for texts in pictures for text in texts.values()) > MAX_LETTERS:
        raise InvalidRequest("makes texts too long to be kept for so many pictures", field="prompt")
