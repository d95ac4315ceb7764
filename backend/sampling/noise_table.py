"""The noise levels a network was trained on, and the map between sigma and timestep.

A table has N levels (1000 for the Stable Diffusion families). ``alphas_cumprod`` (alpha bar) is the share of signal
power left at a timestep; ``sigma = sqrt((1 - alpha_bar) / alpha_bar)`` is the same level on the k-diffusion scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ZERO_SNR_FLOOR = 4.8973451890853435e-08
"""Alpha bar put where a zero-terminal-SNR table would hold an exact 0, so that sigma stays finite (about 4519)."""

NEARLY_NOISE = ((1 - ZERO_SNR_FLOOR) / ZERO_SNR_FLOOR) ** 0.5
"""Its sigma."""

HALF_SMALLEST, HALF_BELOW_ONE = 2.0**-24, 1 - 2.0**-11
"""The numbers of 16 bits next to 0 and next to 1: at those themselves a level would be infinite or none."""


def scaled_linear_betas(start: float = 0.00085, end: float = 0.012, steps: int = 1000) -> Floats:
    """The betas of Stable Diffusion: evenly spaced square roots (LDM, Rombach et al. 2022)."""
    return np.linspace(start**0.5, end**0.5, steps) ** 2


def scaled_linear_alphas() -> Floats:
    """Alpha bar of the scaled-linear betas in float64, unrounded."""
    return np.cumprod(1 - scaled_linear_betas())


def zero_terminal_snr(alphas_cumprod: Floats) -> Floats:
    """Shift and scale sqrt(alpha bar) so that the last level is (almost) pure noise (Lin et al. 2023, Algorithm 1)."""
    root = np.sqrt(np.asarray(alphas_cumprod, np.float64))
    rescaled = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return np.append(rescaled[:-1] ** 2, ZERO_SNR_FLOOR)


@dataclass(frozen=True, eq=False)
class NoiseTable:
    """The sigmas of a network's training timesteps, ascending, shape (N,), all finite and above 0.

    Raises ValueError when the table is empty or not ascending.
    """

    sigmas: Floats
    log_sigmas: Floats = field(init=False, repr=False)
    _timesteps: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sigmas = np.array(self.sigmas, np.float64)
        if not sigmas.size or sigmas[0] <= 0 or not np.all(np.isfinite(sigmas)) or np.any(np.diff(sigmas) < 0):
            raise ValueError("sigmas: a noise schedule needs finite, positive, ascending values")
        sigmas.setflags(write=False)
        object.__setattr__(self, "sigmas", sigmas)
        object.__setattr__(self, "log_sigmas", np.log(sigmas))
        object.__setattr__(self, "_timesteps", np.arange(len(sigmas), dtype=np.float64))

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Floats, *, rounded: bool = True) -> NoiseTable:
        """From alpha bar, descending in (0, 1).

        ``rounded`` passes alpha bar through float32 as checkpoints store it: the lowest sigmas move by 1e-5 of
        their value, and pictures with them.
        """
        alphas = np.asarray(alphas_cumprod, np.float32 if rounded else np.float64).astype(np.float64)
        return cls(np.sqrt((1 - alphas) / alphas))

    @classmethod
    def from_betas(cls, betas: Floats | None = None, *, rounded: bool = True) -> NoiseTable:
        """From the variance added at each timestep; Stable Diffusion's betas when none are given."""
        betas = scaled_linear_betas() if betas is None else np.asarray(betas, np.float64)
        return cls.from_alphas_cumprod(np.cumprod(1 - betas), rounded=rounded)

    @classmethod
    def flow(cls, shift: float = 1.0, steps: int = 1000) -> NoiseTable:
        """Of networks on straight paths: sigma = t / (1 - t) at t = 1/N ... 1, times `shift` (Esser et al. 2024).

        Pure noise, t = 1, is put where a zero-terminal-SNR table has it: its sigma would be infinite.
        """
        t = np.arange(1, steps) / steps
        return cls(np.append(np.minimum(shift * t / (1 - t), NEARLY_NOISE), NEARLY_NOISE))

    def __len__(self) -> int:
        return len(self.sigmas)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    @property
    def alphas_cumprod(self) -> Floats:
        return 1 / (1 + self.sigmas**2)

    def in_half_precision(self) -> NoiseTable:
        """With alpha bar rounded to 16 bits, which AUTOMATIC1111 calls downcast."""
        alphas = self.alphas_cumprod.astype(np.float16).astype(np.float64)
        kept = np.clip(alphas, HALF_SMALLEST, HALF_BELOW_ONE)
        return NoiseTable(np.sqrt((1 - kept) / kept))

    def sigma_to_t(self, sigma: float, *, quantize: bool = False) -> float:
        """Timestep in [0, N - 1] of a sigma > 0, fractional (linear in log sigma) or the nearest whole one.

        Sigmas outside the table get its first or last timestep.
        """
        log_sigma = np.log(sigma)
        if quantize:
            return float(np.argmin(np.abs(log_sigma - self.log_sigmas)))
        return float(np.interp(log_sigma, self.log_sigmas, self._timesteps))

    def t_to_sigma(self, t: float | Floats) -> Floats:
        """Sigma of (fractional) timesteps, interpolated in log sigma; the shape of ``t`` is kept."""
        return np.exp(np.interp(t, self._timesteps, self.log_sigmas))


LCM_STEPS = 50
"""Timesteps a latent consistency model was distilled on: every 20th of 1000 (Luo et al. 2023)."""


def lcm_discretisation(model: NoiseTable) -> NoiseTable:
    """The levels an LCM network knows: timesteps 19, 39, ... 999 of ``model``; 50 or fewer levels stay as they are."""
    stride = max(len(model) // LCM_STEPS, 1)
    return NoiseTable(model.sigmas[stride - 1 :: stride])


def lcm_timestep(lcm: NoiseTable, sigma: float, training_steps: int = 1000) -> int:
    """The training timestep of the LCM level nearest to ``sigma``."""
    stride = training_steps // len(lcm)
    return int(lcm.sigma_to_t(sigma, quantize=True)) * stride + stride - 1


def lcm_boundary(timestep: float) -> tuple[float, float]:
    """(c_skip, c_out) of an LCM network: denoised = c_out * network's x0 + c_skip * x (sigma_data 0.5, t x 10)."""
    scaled = 10 * timestep
    return 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25) ** 0.5
