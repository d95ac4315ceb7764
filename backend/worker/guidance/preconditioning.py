"""The network as a denoiser: rows at any noise levels in, denoised latents out, in one call."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from backend.worker.adapters import branches, hypernetwork
from backend.worker.adapters.adapter import Watched, together
from backend.worker.adapters.key_value_cache import words_kept
from backend.worker.guidance.row import Answer, Row
from backend.worker.models.encoded import stacked
from backend.worker.models.seamless import seamless


def denoise(rows: Sequence[Row]) -> list[Answer]:
    """The answer to each row. All rows share `Row.key`; each has its own noise level and parametrisation."""
    model = rows[0].model
    x = torch.stack([row.x for row in rows])                                                    # (B, C, h, w)
    at = [row.parametrisation.scalings(row.sigma) for row in rows]
    numbers = torch.tensor([(s.c_in, s.c_skip, s.c_out, s.timestep) for s in at], dtype=torch.float32, device=x.device)
    c_in, c_skip, c_out = numbers[:, :3].T[..., None, None, None]                               # each (B, 1, 1, 1)
    texts, watched = stacked([row.encoded for row in rows]), [{} for _ in rows]
    with ExitStack() as attached:
        attached.enter_context(seamless(model.denoiser, rows[0].tiling))
        _attach(rows, attached, watched)
        attached.enter_context(branches.attached([row.branches for row in rows]))
        attached.enter_context(hypernetwork.attached(model.denoiser, [row.branches for row in rows]))
        attached.enter_context(words_kept(model.denoiser, _words_key(rows), model.kept_words))
        output = model.predict(x * c_in, numbers[:, 3], texts, channels=_channels(rows))
    denoised = x * c_skip + output * c_out
    return [Answer(latent, seen) for latent, seen in zip(denoised.unbind(0), watched, strict=True)]


def _words_key(rows: Sequence[Row]) -> Hashable:
    keys = tuple(row.words_key for row in rows)
    return None if None in keys else keys


def _attach(rows: Sequence[Row], attached: ExitStack, watched: Sequence[Watched]) -> None:
    """Attach what the rows use, and have `watched` filled when the call is over."""
    for uses in together([row.uses for row in rows]):
        adapter = next(use.adapter for use in uses if use is not None)
        seen = attached.enter_context(adapter.attach(rows[0].model, rows, uses))
        if seen is not None:
            attached.callback(_collect, watched, seen)


def _collect(watched: Sequence[Watched], seen: Sequence[Watched]) -> None:
    for row, more in zip(watched, seen, strict=True):
        row.update(more)


def _channels(rows: Sequence[Row]) -> Tensor | None:
    """(B, K, h, w): what only some networks are shown; all rows have it or none."""
    shown = [row.channels for row in rows if row.channels is not None]
    return torch.stack(shown) if shown else None
