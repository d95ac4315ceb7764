"""What a picture prompt is made of: what CLIP sees in pictures, or identities of faces, projected to a few vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.catalog.ip_adapters import EMBEDDING, FACE, FACE_PLUS, INNER, RAW_FACE
from backend.request.guide_unit import AVERAGE, CONCATENATE
from backend.worker.models.clip_vision import Seen

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What there is of one picture: what a tower sees in it, and in `nothing`; a face's identity (1, 512), raw."""

    seen: Seen | None = None
    nothing: Seen | None = None
    face: Tensor | None = None
    noisy: bool = False             # there is noise in `nothing`, so that it stands for none where zeros would


@dataclass(frozen=True, slots=True, eq=False)
class PicturePrompt:
    """The vectors (T, C), float32, of pictures and of `none`."""

    picture: Tensor
    none: Tensor

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.picture.nbytes + self.none.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A file's projection. `sees`: see `catalog/ip_adapters`; `shortcut`: of FaceID-PlusV2."""

    network: nn.Module
    sees: str
    shortcut: bool = False

    def prompt(self, pictures: Sequence[Shown], combine: str) -> PicturePrompt:
        """The vectors of one or several pictures, together as one of COMBINATIONS says."""
        look = _LOOKS[self.sees]
        pairs = [look(each) for each in pictures]
        shown = _combined([shown for shown, _ in pairs], combine)
        none = [none for _, none in pairs][: len(shown)]
        if combine == CONCATENATE and self.sees == RAW_FACE:        # one person: the resampler reads them together
            shown, none = ([tuple(torch.cat(each, 1) for each in zip(*side, strict=True))] for side in (shown, none))
        return PicturePrompt(self._vectors(shown), self._vectors(none))

    def _vectors(self, each: Sequence[Inputs]) -> Tensor:
        return torch.cat([self._projected(inputs)[0].float() for inputs in each])

    def _projected(self, inputs: Inputs) -> Tensor:
        parameter = next(self.network.parameters())
        first, *others = (each.to(parameter) for each in inputs)
        if self.sees != FACE_PLUS:
            return self.network(first)
        self.network.clip_embeds, self.network.shortcut, self.network.shortcut_scale = others[0], self.shortcut, 1.0
        try:
            return self.network(first)
        finally:
            self.network.clip_embeds = None


def _combined(each: Sequence[Inputs], combine: str) -> list[Inputs]:
    if combine == CONCATENATE or len(each) == 1:
        return list(each)
    parts = [torch.stack(part) for part in zip(*each, strict=True)]
    if combine == AVERAGE:
        return [tuple(part.mean(0) for part in parts)]
    return [tuple(part[0] - part[1:].mean(0) for part in parts)]


def _embedding(shown: Shown) -> tuple[Inputs, Inputs]:
    none = shown.nothing.embedding if shown.noisy else torch.zeros_like(shown.seen.embedding)
    return (shown.seen.embedding,), (none,)


def _inner(shown: Shown) -> tuple[Inputs, Inputs]:
    return (shown.seen.inner,), (shown.nothing.inner,)


def _face(shown: Shown) -> tuple[Inputs, Inputs]:
    normed = nn.functional.normalize(shown.face)
    return (normed,), (torch.zeros_like(normed),)


def _face_plus(shown: Shown) -> tuple[Inputs, Inputs]:
    """A tower's layer has a place for several pictures: (1, 1, patches + 1, W)."""
    (normed,), (none,) = _face(shown)
    return (normed, shown.seen.inner[:, None]), (none, shown.nothing.inner[:, None])


def _raw_face(shown: Shown) -> tuple[Inputs, Inputs]:
    identity = shown.face[:, None]              # (1, 1, 512): a resampler reads a sequence
    return (identity,), (torch.zeros_like(identity),)


_LOOKS: Mapping[str, Callable[[Shown], tuple[Inputs, Inputs]]] = {
    EMBEDDING: _embedding, INNER: _inner, FACE: _face, FACE_PLUS: _face_plus, RAW_FACE: _raw_face,
}
