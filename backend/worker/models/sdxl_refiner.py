"""Stable Diffusion XL's refiner: SDXL with its second text encoder alone, told how good its picture looks.

It is made for the last steps of a picture that SDXL began (Podell et al. 2023); its own words are read as SDXL's second
encoder reads them. An aesthetic score stands beside the picture's size, one for the words and a lower one against which
they are drawn, as in AUTOMATIC1111.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from backend.catalog.model_file import ModelFile
from backend.request.request import Request
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models import clip_text, ldm_layout, open_clip_layout, sdxl
from backend.worker.models.encoded_text import Role
from backend.worker.models.model_base import Component, Components
from backend.worker.models.preview_colours import preview_factors
from backend.worker.models.tensor_files import Format
from backend.worker.models.text_encoding import Reader

TEXT_PREFIX = "conditioner.embedders.0.model."


@dataclass(frozen=True, slots=True)
class RefinerTextSettings(sdxl.SDXLTextSettings):
    """`score`: how good the network shall believe its picture to look; those that it learnt from had about 3 to 7."""

    score: float = 6.0


@dataclass(eq=False, kw_only=True)
class SDXLRefiner(sdxl.SDXL):
    """The refiner. Behind the pooled text `Encoded.pooled` holds height, width, crop top and left, and the score."""

    prefixes: ClassVar[Mapping[str, str]] = ldm_layout.PREFIXES | {TEXT_PREFIX: "text_encoder_2"}
    numbers: ClassVar[int] = 5

    @classmethod
    def formats(cls, placement: Placement) -> dict[str, Format]:
        """See `Model.formats`."""
        return {name: each for name, each in super().formats(placement).items() if name != "text_encoder"}

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """See `Model.split`."""
        with ldm_layout.sizes_expected():
            text = ldm_layout.section(tensors, TEXT_PREFIX, "text encoder")
            config = open_clip_layout.config_of(text)

            def unet_config(unet: Mapping[str, Tensor]) -> sdxl.Config:
                return sdxl.sdxl_unet_config(unet, config["projection_dim"], cls.numbers)

            return {
                "unet": ldm_layout.unet_component(tensors, unet_config),
                "vae": ldm_layout.vae_component(tensors, sdxl.VAE),
                "text_encoder_2": Component(config, open_clip_layout.renamed(text)),
            }

    @classmethod
    def build(
        cls, checkpoint: ModelFile, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        """See `Model.build`."""
        unet, vae = ldm_layout.unet_and_vae(components, placement)
        encoder = clip_text.projecting_text_encoder(components["text_encoder_2"], placement.text, placement.device)
        tokenizer = clip_text.open_clip_tokenizer(clip_text.tokenizer(checkpoint, encoder))
        return cls(
            checkpoint=checkpoint, placement=placement, text_encoders=(encoder,), denoiser=unet, vae=vae,
            parametrisation=parametrisation, tokenizer=tokenizer, tokenizer_2=tokenizer,
            preview_factors=preview_factors(vae, sdxl.COLOURS),
        )

    def text_settings(
        self, request: Request, role: Role, size: tuple[int, int], texts: Sequence[str]
    ) -> RefinerTextSettings:
        """See `Model.text_settings`."""
        read = super().text_settings(request, role, size, texts)
        scores = {"cond": request.sdxl_refiner_high_aesthetic_score, "uncond": request.sdxl_refiner_low_aesthetic_score}
        return RefinerTextSettings(**asdict(read), score=scores[role])

    def _beside(self, settings: RefinerTextSettings) -> list[float]:
        return [*settings.size, *settings.crop, settings.score]

    def _readers(self, settings: RefinerTextSettings) -> Sequence[Reader]:
        """SDXL's second encoder alone."""
        return (Reader(self.tokenizer, self.text_encoders[0], self._open_clip),)

    def adapted(self) -> dict[str, nn.Module]:
        """See `Model.adapted`."""
        return {"unet": self.denoiser, "text_encoder_2": self.text_encoders[0]}
