"""The network as a denoiser: rows at any noise levels in, denoised latents out, in one call."""

from __future__ import annotations

from collections.abc import Sequence

from backend.worker.guidance.network_call import NetworkCall
from backend.worker.guidance.row import Answer, Row


def denoise(rows: Sequence[Row]) -> list[Answer]:
    """The answer to each row, replayed where such calls are recorded. All rows share `Row.key`."""
    call = NetworkCall(rows)
    recordings = rows[0].model.recordings
    denoised = call.run(call.inputs) if recordings is None else recordings.run(call)
    return [Answer(latent, seen) for latent, seen in zip(denoised.unbind(0), call.watched, strict=True)]
