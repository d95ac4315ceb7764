"""ControlNets (Zhang et al. 2023): a network that sees a hint beside the latent, and adds to what a UNet finds.

It runs once for all rows of a call that use it, with the same scaled latents, timesteps and words as the UNet; each has
a hint, a strength, and a weight for each of the places where something is added. To other rows nothing is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from torch import Tensor, nn
from torch.nn.functional import interpolate

from backend.catalog.model_file import ModelFile
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Members, Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.key_value_cache import Made, words_kept
from backend.worker.models.assemble import assemble
from backend.worker.models.controlnet_layout import (
    DIFFERENCE,
    KINDS,
    LORA,
    control_lora_component,
    controlnet_component,
    with_weights_of,
)
from backend.worker.models.ldm_layout import sizes_expected
from backend.worker.models.load_errors import loading
from backend.worker.models.loader import read_component
from backend.worker.models.model_base import Component, Model
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.models.result_cache import ResultCache
from backend.worker.models.seamless import seamless
from backend.worker.models.tensor_files import Format, read_tensors

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

Shown = tuple[Tensor, Tensor, Tensor]
Given = tuple[tuple[Any, ...], dict[str, Any]]
Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Given]
HINTS = "controlnet_cond_embedding"     # of a network: what makes its hints as small as latents
READ = 4                    # tensors of a use that brings what is read in place of the words
SHUFFLE = "shuffle"         # in the name of a file: its residuals are averaged over the picture

_LOADS = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class _Embedded:
    """What a network makes of a hint before its first layer: (1, C, h, w), the same in all steps. A result of
    `Memory`'s.

    `of` is the hint, which is known by its identity for as long as this is there.
    """

    of: Tensor
    made: Tensor

    @property
    def nbytes(self) -> int:
        """Memory that both take."""
        return self.made.nbytes + self.of.nbytes


@dataclass(eq=False)
class ControlNet(OwnedNetwork, Recordable, ForSomeRows, LeavesWords):
    """A ControlNet in memory, in eval mode. Owned by `Memory`.

    A use has (hint, weights) as its data: the hint (3, H, W) in 0..1, H and W eight times the latent's, and a weight
    for each of `places`. A third one is the region (1, h, w) in 0..1 in which it acts; of
    InstantID's a fourth is what it reads in place of the words, (T, C).
    """

    pools: bool = False         # each residual is the same in all of the picture, and only asked for with the words
    kept_words: ResultCache[Any] | None = None          # what it makes of them, and of hints
    identity: int = field(default_factory=partial(next, _LOADS))

    @property
    def places(self) -> int:
        """How many residuals it gives: those of the way down, then that of the middle."""
        return len(self.network.controlnet_down_blocks) + 1

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """See `Recordable.attachment`."""
        members = Members.of(_by_all(uses) if rows[0].steady else uses, model.device, rows)
        hints = torch.cat([self._embedded(use.data[0], rows[0].tiling) for use in members.uses])        # (n, C, h, w)
        others = [torch.stack(each).to(model.device, self.network.dtype, non_blocking=True)
                  for each in zip(*(_scaled(use) for use in members.uses), strict=True)]
        given = [hints, *others]
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
        hints, weights, *more = given                           # (n, C, h, w), (n, places)
        region, read = (*more, None, None)[:2]

        def added(unet: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Given:
            x, timesteps, words = map(members.part, given)
            told = {name: members.part(each) for name, each in (named.get("added_cond_kwargs") or {}).items()}
            shown = x[:, : self.network.config.in_channels], timesteps, words if read is None else read
            with words_kept(), self._known(hints):
                residuals = self._residuals(shown, told or None, hints)
            found = self._weighed(residuals, weights, region)
            return given, named | _together(named, [members.spread(each) for each in found])

        return added

    def _embedded(self, hint: Tensor, tiling: bool) -> Tensor:
        """Of a hint (3, H, W): made once for as long as it is kept."""
        def made() -> _Embedded:
            shown = hint[None].to(self.device, self.network.dtype, non_blocking=True)
            if self.network.config.controlnet_conditioning_channel_order == "bgr":
                shown = shown.flip(1)
            with seamless(self.network, tiling):
                return _Embedded(hint, getattr(self.network, HINTS)(shown))

        key = "hint", self.identity, self.device, tiling, id(hint)
        return (self.kept_words.get(key, made) if self.kept_words else made()).made

    @contextmanager
    def _known(self, hints: Tensor) -> Iterator[None]:
        """Inside, the network takes these for what it makes of whatever hint it is shown."""
        before = getattr(self.network, HINTS)
        setattr(self.network, HINTS, Made(hints))
        try:
            yield
        finally:
            setattr(self.network, HINTS, before)

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
    """The tensors of a use but the hint, its weights times its strength."""
    _, weights, *others = use.data
    return weights * use.strength, *others


def _by_all(uses: Sequence[Use | None]) -> list[Use]:
    """Rows that do not use it do so without strength, which adds zeros."""
    nothing = replace(next(use for use in uses if use is not None), strength=0.0)
    return [use or nothing for use in uses]


def load(file: ModelFile, model: Model) -> ControlNet:
    """Read a file or a diffusers folder for this model. Raises CheckpointError, whose sentence names it."""
    with loading(file) as path:
        network = _built(_component(path, model), model)
    pools = bool(network.config.get("global_pool_conditions")) or SHUFFLE in file.key.casefold()
    return (UnionControlNet if isinstance(network, ControlNetUnionModel) else ControlNet)(network, pools)


def _component(path: Path, model: Model) -> Component:
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
