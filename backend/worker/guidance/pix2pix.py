"""Guidance of networks that edit a picture by words: InstructPix2Pix, Brooks et al. 2023, equation 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from backend.sampling.protocol import Noisy
from backend.worker.guidance.cfg_denoiser import COND, UNCOND, CFGDenoiser
from backend.worker.guidance.row import Row

NOTHING = 1e-9          # a smaller share of an answer is none


@dataclass(slots=True)
class Pix2PixDenoiser(CFGDenoiser):
    """Three kinds of rows: the parts of the prompt with the picture, the negative prompt with it, and that without it.

    `picture` (C, h, w) is its latent, `picture_scale` how closely to keep to it. A row that has no share in the result
    is left out.
    """

    picture: Tensor = field(kw_only=True)
    picture_scale: float = field(kw_only=True, default=1.5)

    def plain_rows(self, noisy: Noisy) -> list[Row]:
        """The parts, then the picture alone, then nothing."""
        said = [(COND, part.at(self.call)) for part in self.parts]
        shown = [self.picture] * len(said)
        for share, channels in zip(self._shares(), (self.picture, torch.zeros_like(self.picture)), strict=True):
            if self.strength.keep_uncond or abs(share) > NOTHING:
                said.append((UNCOND, self.negative.at(self.call)))
                shown.append(channels)
        rows = self.made(noisy, said)
        return [replace(row, channels=channels) for row, channels in zip(rows, shown, strict=True)]

    def mixed(self, answers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """nothing + picture_scale * (picture - nothing) + sum_i weight_i * scale * (part_i - picture)."""
        parts, rest = answers[: len(self.parts)], list(answers[len(self.parts):])
        denoised = sum(answer * (part.weight * self.strength.scale)
                       for part, answer in zip(self.parts, parts, strict=True))
        uncond = rest[-1] if rest else parts[0]
        for share in self._shares():
            if self.strength.keep_uncond or abs(share) > NOTHING:
                denoised = denoised + rest.pop(0) * share
        return denoised, uncond

    def _shares(self) -> tuple[float, float]:
        """Of the picture alone, and of nothing."""
        words = self.strength.scale * sum(part.weight for part in self.parts)
        return self.picture_scale - words, 1 - self.picture_scale
