"""Reference-only and reference-AdaIN (sd-webui-controlnet 1.1.153): a picture guides without a model of its own.

Before each call the network sees the reference, noised as much as the picture that is drawn. Its self-attentions then
look at what they saw there beside their own, and its blocks take over means and deviations. A higher weight lets more
layers do so. Style fidelity says how far the rows without the words are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from backend.worker.adapters.adapter import LeavesWords, Use
from backend.worker.models.device_transfer import on_device
from backend.worker.models.model_base import Model

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

RESIDUALS = ("down_block_additional_residuals", "mid_block_additional_residual", "down_intrablock_additional_residuals")
GIVEN = ("hidden_states", "encoder_hidden_states")
EPSILON = 1e-6
Placed = tuple[nn.Module, float]    # a layer with the weight from which on it takes part


@dataclass(frozen=True, slots=True)
class Reference(LeavesWords):
    """A use has (latent, noise, fidelity) as its data: of the reference (C, h, w) each, and (1,) in 0..1."""

    attention: bool
    statistics: bool

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        numbers = [use.strength for use in uses]
        strengths = on_device(numbers, model.device)
        left_alone = torch.stack([use.data[2][0] if row.role == "uncond" else torch.zeros_like(use.data[2][0])
                                  for row, use in zip(rows, uses, strict=True)]).to(model.device)
        shown, layers = _noised(rows, uses).to(model.dtype), self._layers(model.denoiser)

        def before(unet: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            with _hooked(layers, lambda layer, _: layer.saw):
                x, *others = given
                plain = {name: value for name, value in named.items() if name not in RESIDUALS}
                unet.forward(torch.cat([shown, x[:, shown.shape[1]:]], dim=1), *others, **plain)

        def share(weight: float) -> Tensor | None:
            """(B,): how much of what was seen each row takes; None where that is nothing in all of them."""
            return (strengths > weight) * (1 - left_alone) if max(numbers) > weight else None

        with ExitStack() as hooked:
            hooked.callback(model.denoiser.register_forward_pre_hook(before, with_kwargs=True).remove)
            hooked.enter_context(_hooked(layers, lambda layer, weight: layer.taking(share(weight))))
            yield

    def _layers(self, unet: nn.Module) -> list[tuple[_Layer, float]]:
        attentions = attention_layers(unet) if self.attention else []
        blocks = statistics_layers(unet) if self.statistics else []
        return [*((_Attention(module), weight) for module, weight in attentions),
                *((_Block(module), weight) for module, weight in blocks)]


REFERENCES: Mapping[str, Reference] = {
    "reference_only": Reference(attention=True, statistics=False),
    "reference_adain": Reference(attention=False, statistics=True),
    "reference_adain+attn": Reference(attention=True, statistics=True),
}


@dataclass(slots=True, eq=False)
class _Layer:
    """A layer, and what went on in it while the reference was seen; then it forgets that after one call."""

    module: nn.Module
    seen: Any = None


class _Attention(_Layer):
    """A self-attention, which looks at the reference's vectors beside its own."""

    def saw(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Any) -> None:
        self.seen = given[0] if given else named["hidden_states"]

    def taking(self, share: Tensor | None) -> Callable[..., Tensor | None]:
        def take(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Tensor) -> Tensor | None:
            if self.seen is None or share is None:
                return None
            own, (seen, self.seen) = given[0] if given else named["hidden_states"], (self.seen, None)
            more = {name: value for name, value in named.items() if name not in GIVEN}
            both = module.forward(own, encoder_hidden_states=torch.cat([own, seen], dim=1), **more)
            return torch.lerp(found, both, share.view(-1, 1, 1).to(found))

        return take


class _Block(_Layer):
    """A block, whose channels get the reference's means and deviations."""

    def saw(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Any) -> None:
        x = found[0] if isinstance(found, tuple) else found
        self.seen = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)

    def taking(self, share: Tensor | None) -> Callable[..., Any]:
        def take(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Any) -> Any:
            if self.seen is None or share is None:
                return None
            x, ((theirs, mean), self.seen) = found[0] if isinstance(found, tuple) else found, (self.seen, None)
            variance, own = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
            moved = (x - own) / variance.clamp_min(EPSILON).sqrt() * theirs.clamp_min(EPSILON).sqrt() + mean
            made = torch.lerp(x, moved, share.view(-1, 1, 1, 1).to(x))
            return (made, *found[1:]) if isinstance(found, tuple) else made

        return take


def attention_layers(unet: nn.Module) -> list[Placed]:
    """All self-attentions, the widest first, evenly spread over 0..1; of one width from the first on."""
    blocks = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    found = [each.attn1 for block in blocks for each in block.modules() if hasattr(each, "attn1")]
    found.sort(key=lambda attention: -attention.to_q.in_features)
    return [(attention, number / len(found)) for number, attention in enumerate(found)]


def statistics_layers(unet: nn.Module) -> list[Placed]:
    """The middle; the ends of the layers on the way down, without the first block, and on the way up without the last.

    What is nearest to the middle takes part first.
    """
    down = [layer for block in unet.down_blocks[1:] for layer in _ends(block)]
    up = [layer for block in unet.up_blocks[:-1] for layer in _ends(block)]
    middle = [(unet.mid_block, 0.0)]
    return [*middle, *((layer, 2 * (1 - number / len(down))) for number, layer in enumerate(down)),
            *((layer, 2 * number / len(up)) for number, layer in enumerate(up))]


def _ends(block: nn.Module) -> list[nn.Module]:
    """The module that each layer of a block ends with."""
    attentions = getattr(block, "attentions", None) or block.resnets
    ends = list(attentions)
    if getattr(block, "upsamplers", None):
        ends[-1] = block.upsamplers[0]
    return ends


def _noised(rows: Sequence[Row], uses: Sequence[Use]) -> Tensor:
    """What the network is shown of each row's reference, scaled: (B, C, h, w)."""
    noised = [(use.data[0] + row.sigma * use.data[1]) * row.parametrisation.scalings(row.sigma).c_in
              for row, use in zip(rows, uses, strict=True)]
    return torch.stack(noised)


@contextmanager
def _hooked(layers: Sequence[tuple[_Layer, float]], hook: Callable[[Any, float], Callable[..., Any]]) -> Iterator[None]:
    """Every layer with a hook behind its forward."""
    with ExitStack() as hooked:
        for layer, weight in layers:
            handle = layer.module.register_forward_hook(hook(layer, weight), with_kwargs=True)
            hooked.callback(handle.remove)
        yield
