"""What a loaded checkpoint can do, whatever its family.

A family is a subclass of `Model` in a file of its own: it says how its weights are named and shaped, how it reads text
and what its networks take. The programs call the methods below and never ask which family they have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from backend.catalog.call_estimate import CallEstimate
from backend.catalog.model_file import ModelFile
from backend.request.request import Request
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models.autoencoder import Autoencoder, next_identity
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.compiled_regions import CompiledRegions
from backend.worker.models.device_transfer import move, tensors
from backend.worker.models.encoded_text import NO_EMBEDDINGS, PLAIN, Embeddings, Encoded, Role, TextSettings
from backend.worker.models.graph_replay import Recordings
from backend.worker.models.preview_colours import linear_rgb
from backend.worker.models.result_cache import ResultCache
from backend.worker.models.tensor_files import Format
from backend.worker.pixels import Pixels


@dataclass(frozen=True, slots=True)
class Component:
    """One network of a checkpoint before it is built: a config, and tensors in diffusers' or transformers' names."""

    config: Mapping[str, Any]
    tensors: dict[str, Tensor]


Components = dict[str, Component]
"""By diffusers' folder names: "unet", "vae", "text_encoder", ..."""


@dataclass(eq=False, kw_only=True)
class Model(Autoencoder, ABC):
    """A checkpoint in memory, in eval mode and without gradients. Owned by `Memory`; others hold it for one call.

    All latents are float32 on `device`, in the scale the denoiser was trained on.
    """

    prefixes: ClassVar[Mapping[str, str]] = {}
    """Where the components lie in a single file: the start of their tensors' names -> the component."""

    sdxl_knots: ClassVar[bool] = False
    """Whether optimised schedules (Align Your Steps, GITS) take the noise levels found for SDXL, or those for SD1."""

    checkpoint: ModelFile
    placement: Placement
    text_encoders: tuple[nn.Module, ...]
    denoiser: nn.Module
    vae: nn.Module
    parametrisation: Parametrisation
    preview_factors: Tensor     # (C + 1, 3): latent channels to RGB in 0..1, the last row an offset
    background_hash: BackgroundHash | None = None       # of a checkpoint whose hash was not known
    kept_words: ResultCache[Any] | None = None          # what attentions have made of the words of running jobs
    recordings: Recordings | None = None                # of calls of the denoiser
    derived: ResultCache[Any] | None = None             # what adapters have made of its weights
    compiled: CompiledRegions | None = None             # of the denoiser
    identity: int = field(init=False, default_factory=next_identity)
    """Which load of this process it is: a file that is read again is another model."""

    _sizes: dict[tuple[nn.Module, torch.dtype], int] = field(init=False, default_factory=dict)
    _at: torch.device | None = field(init=False, default=None)      # where all networks have been moved to

    @classmethod
    def formats(cls, placement: Placement) -> dict[str, Format]:
        """How the tensors of each component are kept. Those of other components are not read."""
        formats = {"unet": placement.unet, "vae": placement.vae, "text_encoder": placement.text}
        return {name: Format(placement.device, dtype) for name, dtype in formats.items()}

    @classmethod
    @abstractmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """Sort the tensors of a single file in its authors' layout into components in diffusers' names.

        Raises CheckpointError when a whole component is missing.
        """

    @classmethod
    @abstractmethod
    def build(
        cls, checkpoint: ModelFile, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        """Make the networks on the placement's device. Raises CheckpointError naming missing tensors."""

    def tried_parametrisation(self) -> Parametrisation:
        """What the network shows of itself, where nothing in or beside its file says what it predicts."""
        return self.parametrisation

    def text_settings(
        self, request: Request, role: Role, size: tuple[int, int], texts: Sequence[str]
    ) -> TextSettings:
        """How the texts of a role are read, all that a pass has: only what this family listens to.

        `size`: the height and width in pixels that the network shall believe its picture to have.
        """
        return TextSettings(request.clip_skip, request.emphasis)

    @abstractmethod
    def encode_text(
        self, text: str, settings: TextSettings = PLAIN, embeddings: Embeddings = NO_EMBEDDINGS
    ) -> Encoded:
        """Embed one text of a prompt: no AND, no timeline, no networks in it. Float32 on `device`.

        The names of `embeddings` stand for their vectors, which `takes` has accepted.
        """

    @abstractmethod
    def predict(self, x: Tensor, timesteps: Tensor, texts: Encoded, *, channels: Tensor | None = None) -> Tensor:
        """Run the denoiser on rows: its raw output, which `parametrisation` explains, as float32 (B, C, h, w).

        `x` (B, C, h, w), already scaled; `timesteps` (B,), may be fractional; `texts` a batch of them;
        `channels` (B, K, h, w): what a network is shown beside the latent, see `sees_masks` and `sees_pictures`.
        """

    def preview(self, latent: Tensor) -> Pixels:
        """A rough picture of latents (B, C, h, w), uint8 RGB: by a linear map, one pixel per cell, (B, h, w, 3)."""
        return linear_rgb(self.preview_factors, latent)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, rows, columns) of the latent of a picture of `width` x `height` pixels."""
        return self.latent_channels, height // self.latent_scale, width // self.latent_scale

    @cached_property
    def call_estimate(self) -> CallEstimate:
        """What one row of a call of the denoiser costs."""
        return CallEstimate.of({name: tuple(tensor.shape) for name, tensor in self.denoiser.state_dict().items()})

    @property
    def sees_masks(self) -> bool:
        """An inpainting network: its channels are the mask and the latent of the picture with the mask cut out."""
        return False

    @property
    def sees_pictures(self) -> bool:
        """An edit network: its channels are the latent of the picture to edit, or zeros for none."""
        return False

    @property
    def sha256(self) -> str:
        """Of the checkpoint's file or folder, hexadecimal; waits for it. "" when it cannot be known any more."""
        return self.checkpoint.sha256 or (self.background_hash.wait() if self.background_hash else "")

    @property
    def device(self) -> torch.device:
        """Where the networks are now."""
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The denoiser's number format."""
        return self.placement.unet

    @property
    def bytes(self) -> int:
        """Memory that the networks take. A VAE may go on in another number format; else it stays the same."""
        return sum(self._bytes_of(network) for network in self.networks())

    def _bytes_of(self, network: nn.Module) -> int:
        key = network, next(tensors(network)).dtype
        if key not in self._sizes:
            self._sizes[key] = sum(tensor.nbytes for tensor in tensors(network))
        return self._sizes[key]

    @property
    def word_widths(self) -> tuple[int, ...]:
        """How wide the vector of a token is, in each text encoder; () where words are no vectors of their own."""
        return ()

    def adapted(self) -> dict[str, nn.Module]:
        """What LoRAs and their kin can change: by the names that the family's row has for them in `networks`."""
        names = ("text_encoder", *(f"text_encoder_{n}" for n in range(2, len(self.text_encoders) + 1)))
        return {"unet": self.denoiser, **dict(zip(names, self.text_encoders, strict=True))}

    def networks(self) -> tuple[nn.Module, ...]:
        """Every module that `to` moves."""
        return self.denoiser, self.vae, *self.text_encoders

    def to(self, device: torch.device) -> Self:
        """Move all networks, number formats unchanged. Where memory runs out all are back where they were."""
        if self._at != device:
            self._at = None
            move(self.networks(), device)
            self.preview_factors, self._at = self.preview_factors.to(device), device
        return self
