"""What the cells of a plot have in common while they are drawn, and under which key they find each other's results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from backend.request.request import FIELDS, Request
from backend.worker.draw.work_items import Canvas, Made, Shared, Work
from backend.worker.guidance.hook_table import hooks_for
from backend.worker.models.result_cache import Sized

Result = TypeVar("Result", bound=Sized)

READ_LATER = (
    "hr_upscaler", "hr_scale", "hr_resize_x", "hr_resize_y", "hr_second_pass_steps", "hr_sampler", "hr_schedule",
    "hr_prompt", "hr_negative_prompt", "hr_cfg", "hr_checkpoint_name", "denoising_strength", "extra_noise",
    "face_restoration", "face_restoration_weight", "face_restoration_visibility", "detailers", "image_format",
    "image_quality", "webp_lossless", "folder_pattern", "name_pattern", "save_grid", "save_incomplete_images",
    "preview_every", "preview_method",
    "template", "negative_template", "face_swap", "face_swap_model", "face_swap_pictures", "face_swap_choice",
    "face_swap_source", "face_swap_sources", "face_swap_source_gender", "face_swap_targets", "face_swap_gender",
    "face_swap_order", "face_swap_count_all", "face_swap_threshold", "face_swap_most", "face_swap_mask",
    "face_swap_place", "face_swap_keep_original", "face_swap_upscaler", "face_swap_upscale_by",
    "face_swap_upscaler_visibility", "face_swap_upscale_first", "face_swap_upscale_always",
)
"""Fields that a first pass from noise alone does not read. All others, those of extensions too, are in its key."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstPass:
    """The latent (C, h, w) at the end of the first pass, and the checkpoint of the request that ended it."""

    latent: Tensor
    checkpoint: str

    @property
    def nbytes(self) -> int:
        return self.latent.nbytes


def shared(
    key: Hashable, make: Callable[[], Generator[Work, Any, Result]], calls: int = 0
) -> Generator[Work, Any, Result]:
    """What `make` gives, or what another cell of the plot has got from it under an equal key."""
    found = yield Shared(key, calls)
    if isinstance(found, Made):
        return found.result
    result = yield from make()
    found(result)
    return result


def first_pass_key(request: Request, canvas: Canvas) -> Hashable:
    """Equal where first passes from noise alone give the same. What an extension's hook reads is not known: all."""
    later = () if hooks_for(request) else READ_LATER
    return canvas.model.identity, canvas.shape, request.replace(**{name: FIELDS[name].default for name in later})
