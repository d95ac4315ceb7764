"""ControlNets (Zhang et al. 2023): a network that sees a hint beside the latent, and adds to what a UNet finds.

It runs once for all rows of a call that use it, with the same scaled latents, timesteps and words as the UNet; each has
a hint, a strength, and a weight for each of the places where something is added. To other rows nothing is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from torch import Tensor, nn
from torch.nn.functional import interpolate

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Members, Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.key_value_cache import KeptWords, words_kept
from backend.worker.models.assemble import assemble
from backend.worker.models.base import Component, Model
from backend.worker.models.controlnet_layout import (
    DIFFERENCE,
    KINDS,
    LORA,
    control_lora_component,
    controlnet_component,
    with_weights_of,
)
from backend.worker.models.ldm_layout import sizes_expected
from backend.worker.models.loader import read_component
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.models.seamless import seamless
from backend.worker.models.tensor_files import Format, read_tensors

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

Shown = tuple[Tensor, Tensor, Tensor]
Given = tuple[tuple[Any, ...], dict[str, Any]]
Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Given]
READ = 4                    # tensors of a use that brings what is read in place of the words
SHUFFLE = "shuffle"         # in the name of a file: its residuals are averaged over the picture


@dataclass(eq=False)
class ControlNet(OwnedNetwork, Recordable, ForSomeRows, LeavesWords):
    """A ControlNet in memory, in eval mode. Owned by `Memory`.

    A use has (hint, weights) as its data: the hint (3, H, W) in 0..1, H and W eight times the latent's, and a weight
    for each of `places`. A third one is the region (1, h, w) in 0..1 in which it acts; of
    InstantID's a fourth is what it reads in place of the words, (T, C).
    """

    pools: bool = False         # each residual is the same in all of the picture, and only asked for with the words
    kept_words: KeptWords | None = None         # what it makes of them

    @property
    def places(self) -> int:
        """How many residuals it gives: those of the way down, then that of the middle."""
        return len(self.network.controlnet_down_blocks) + 1

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """See `Recordable.attachment`."""
        members = Members.of(_by_all(uses) if rows[0].steady else uses, model.device, rows)
        given = [torch.stack(each).to(model.device, self.network.dtype, non_blocking=True)
                 for each in zip(*(_scaled(use) for use in members.uses), strict=True)]
        words = words_kept(self.network, members.words if len(given) < READ else None, self.kept_words)
        numbers = [] if members.numbers is None else [members.numbers]
        read = [*numbers, *given, *words.tensors]
        structure = id(self), len(uses), len(given), words.structure, layout(read)
        attach = partial(self._attached, model, rows[0].tiling, members, len(given), words)
        return Attachment(read, attach, None if words.structure is None else structure, [self.network])

    @contextmanager
    def _attached(
        self, model: Model, tiling: bool, members: Members, count: int, words: Attachment, tensors: Sequence[Tensor]
    ) -> Iterator[None]:
        given = list(tensors)
        if members.numbers is not None:
            members = members.at(given.pop(0))
        hook = self._hook(members, given[:count], partial(words.attach, given[count:]))
        handle = model.denoiser.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            with seamless(self.network, tiling):
                yield
        finally:
            handle.remove()

    def _hook(
        self, members: Members, given: Sequence[Tensor], words_kept: Callable[[], AbstractContextManager[None]]
    ) -> Hook:
        hints, weights, *more = given                           # (n, 3, H, W), (n, places)
        region, read = (*more, None, None)[:2]

        def added(unet: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Given:
            x, timesteps, words = map(members.part, given)
            told = {name: members.part(each) for name, each in (named.get("added_cond_kwargs") or {}).items()}
            shown = x[:, : self.network.config.in_channels], timesteps, words if read is None else read
            with words_kept():
                residuals = self._residuals(shown, told or None, hints)
            found = self._weighed(residuals, weights, region)
            return given, named | _together(named, [members.spread(each) for each in found])

        return added

    def _residuals(self, shown: Shown, told: Mapping[str, Tensor] | None, hints: Tensor) -> list[Tensor]:
        """Those of all places, for latents, timesteps and words, and what SDXL is told beside them."""
        down, middle = self.network(*shown, controlnet_cond=hints, added_cond_kwargs=told, return_dict=False)
        return [*down, middle]

    def _weighed(self, residuals: Sequence[Tensor], weights: Tensor, region: Tensor | None) -> list[Tensor]:
        sizes = [each.shape[2:] for each in residuals]
        if self.pools:
            residuals = [each.mean(dim=(2, 3), keepdim=True) for each in residuals]
        found = [each * weights[:, place].view(-1, 1, 1, 1) for place, each in enumerate(residuals)]
        if region is None:
            return found
        return [each * interpolate(region, size, mode="area") for each, size in zip(found, sizes, strict=True)]


@dataclass(eq=False)
class UnionControlNet(ControlNet):
    """A ControlNet of several kinds (Union, ProMax): which kind of hint it is shown is a part of the use's adapter."""

    kind: int = 0
    _kinds: dict[int, Self] = field(default_factory=dict)

    def of_kind(self, kind: int) -> Self:
        """The same network, shown hints of another kind; the same object each time."""
        return self._kinds.setdefault(kind, replace(self, kind=kind, _kinds=self._kinds))

    def _residuals(self, shown: Shown, told: Mapping[str, Tensor] | None, hints: Tensor) -> list[Tensor]:
        kinds = torch.zeros(len(hints), self.network.config.num_control_type).to(hints)
        kinds[:, self.kind] = 1
        down, middle = self.network(
            *shown, controlnet_cond=[hints], control_type=kinds, control_type_idx=[self.kind],
            conditioning_scale=[1.0], added_cond_kwargs=told, return_dict=False)
        return [*down, middle]


def _scaled(use: Use) -> tuple[Tensor, ...]:
    """The tensors of a use, its weights times its strength."""
    hint, weights, *others = use.data
    return hint, weights * use.strength, *others


def _by_all(uses: Sequence[Use | None]) -> list[Use]:
    """Rows that do not use it do so without strength, which adds zeros."""
    nothing = replace(next(use for use in uses if use is not None), strength=0.0)
    return [use or nothing for use in uses]


def load(file: ModelFile, model: Model) -> ControlNet:
    """Read a file or a diffusers folder for this model. Raises CheckpointError, whose sentence names it."""
    try:
        network = _built(_component(Path(file.path), model), model)
    except CheckpointError as error:
        raise CheckpointError(f"{file.key} cannot be loaded: {error.problems[0].message}") from error
    pools = bool(network.config.get("global_pool_conditions")) or SHUFFLE in file.key.casefold()
    return (UnionControlNet if isinstance(network, ControlNetUnionModel) else ControlNet)(network, pools)


def _component(path: Path, model: Model) -> Component:
    if not path.exists():
        raise CheckpointError("it is no longer there")
    wanted = Format(model.placement.device, model.placement.unet)
    if path.is_dir():
        return read_component(path, wanted)
    read = read_tensors(path, lambda name: wanted)
    with sizes_expected():
        if LORA in read:
            return control_lora_component(read, model.denoiser.config, model.denoiser.state_dict())
        made = controlnet_component(read, model.denoiser.config)
    return with_weights_of(made, model.denoiser.state_dict()) if DIFFERENCE in read else made


def _built(component: Component, model: Model) -> nn.Module:
    placement = model.placement
    kind = ControlNetUnionModel if KINDS in component.tensors else ControlNetModel
    return assemble(lambda: kind.from_config(dict(component.config)), component.tensors, placement.unet,
                    placement.device)


def _together(named: Mapping[str, Any], found: Sequence[Tensor]) -> dict[str, Any]:
    """The UNet's arguments that carry residuals, on top of those that another ControlNet has put there."""
    down, middle = named.get("down_block_additional_residuals"), named.get("mid_block_additional_residual")
    if middle is not None:
        found = [own + other for own, other in zip(found, (*down, middle), strict=True)]
    return {"down_block_additional_residuals": tuple(found[:-1]), "mid_block_additional_residual": found[-1]}
