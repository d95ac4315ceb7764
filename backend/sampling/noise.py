"""The noise each image owns: initial noise, ancestral noise, and a Brownian path for SDE samplers.

Numbers are drawn in float32, one image at a time, so an image never depends on its batch or on the network's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from backend.sampling.philox import Philox
from backend.sampling.protocol import Noise
from backend.sampling.seeds import NoiseSpec, Source

Shape = tuple[int, ...]
SEEDS = 2**64           # how many seeds a generator tells apart


class Stream(Protocol):
    """Consecutive draws of unit normal float32 numbers from one seed."""

    def randn(self, shape: Shape) -> Tensor: ...


class TorchStream:
    """torch's own generator on ``device``."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)

    def randn(self, shape: Shape) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device, dtype=torch.float32)


class PhiloxStream:
    """CUDA's numbers without CUDA."""

    def __init__(self, seed: int) -> None:
        self.philox = Philox(seed)

    def randn(self, shape: Shape) -> Tensor:
        return torch.from_numpy(self.philox.randn(shape))


def stream(source: Source, seed: int, device: torch.device) -> Stream:
    """A fresh stream of ``source``; ``device`` matters for "GPU" only."""
    if source == "NV":
        return PhiloxStream(seed)
    return TorchStream(seed, device if source == "GPU" else torch.device("cpu"))


def slerp(share: float, low: Tensor, high: Tensor) -> Tensor:
    """Spherical interpolation from ``low`` (share 0) to ``high`` (share 1), both (C, H, W) or (B, C, H, W).

    Parity with AUTOMATIC1111: angles are taken along dimension 1 (the rows of a (C, H, W) latent), and nearly
    parallel noises are mixed linearly with the shares swapped.
    """
    low_unit = low / torch.linalg.vector_norm(low, dim=1, keepdim=True)
    high_unit = high / torch.linalg.vector_norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > 0.9995:
        return low * share + high * (1 - share)
    omega = torch.acos(dot)
    sine = torch.sin(omega)
    low_share = (torch.sin((1.0 - share) * omega) / sine).unsqueeze(1)
    return low_share * low + (torch.sin(share * omega) / sine).unsqueeze(1) * high


def pasted(canvas: Tensor, patch: Tensor) -> Tensor:
    """``canvas`` (C, H, W) with ``patch`` (C, h, w) over its centre, cropped where it is larger."""
    spans = []
    for new, old in zip(canvas.shape[1:], patch.shape[1:]):
        offset = (new - old) // 2
        length = old if offset >= 0 else old + 2 * offset
        spans.append((max(offset, 0), max(-offset, 0), length))
    (y, from_y, h), (x, from_x, w) = spans
    result = canvas.clone()
    result[:, y : y + h, x : x + w] = patch[:, from_y : from_y + h, from_x : from_x + w]
    return result


class ImageNoise:
    """All noise of one image. It is itself the ``noise`` argument of a sampler.

    shape: (C, H, W) of the latent. Every result has that shape, on ``device`` in ``dtype``. The first draw is the
    initial noise, later draws are ancestral noise; all are functions of the spec and of how many came before.
    cell: pixels per latent cell, in which the size to resize from is told.
    """

    def __init__(
        self,
        spec: NoiseSpec,
        shape: Shape,
        *,
        cell: int = 8,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.spec = spec
        self.shape = tuple(shape)
        self.cell = cell
        self.device = torch.device(device)
        self.dtype = dtype
        self._stream = self._fresh(spec.seed)
        self._started = False

    def initial(self) -> Tensor:
        """The initial noise, which is always the first draw. Raises ValueError when it was drawn already."""
        if self._started:
            raise ValueError("noise: the initial noise of an image can be drawn only once")
        self._started = True
        noise = self._initial()
        if self.spec.ensd:
            self._stream = self._fresh((self.spec.seed + self.spec.ensd) % SEEDS)
        return self._moved(noise)

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        """The next draw; the sigmas do not matter."""
        return self._moved(self._stream.randn(self.shape)) if self._started else self.initial()

    def brownian(self, sigma_min: float, sigma_max: float) -> Noise:
        """Noise of this seed's Brownian path over [sigma_min, sigma_max]: the same for any split into steps.

        The limits are the lowest sigma above 0 and the highest of the full schedule, also in img2img.
        """
        return BrownianNoise(self, sigma_min, sigma_max)

    def _fresh(self, seed: int) -> Stream:
        return stream(self.spec.source, seed, self.device)

    def _moved(self, noise: Tensor) -> Tensor:
        return noise.to(self.device, self.dtype, non_blocking=True)

    def _initial(self) -> Tensor:
        """Own noise, or noise of the size to resize from, mixed with the variation's, pasted onto the own noise."""
        spec, height, width = self.spec, *self.spec.resize_from
        old = (self.shape[0], height // self.cell, width // self.cell) if height > 0 and width > 0 else self.shape
        noise = (self._stream if old == self.shape else self._fresh(spec.seed)).randn(old)
        if spec.subseed_strength != 0:
            noise = slerp(spec.subseed_strength, noise, self._fresh(spec.subseed).randn(old))
        return noise if old == self.shape else pasted(self._stream.randn(self.shape), noise)


_torchsde_lock = Lock()


@contextmanager
def philox_brownian(source: Source) -> Iterator[None]:
    """While inside, torchsde draws from Philox if ``source`` is NV: it has no argument for its generator."""
    if source != "NV":
        yield
        return
    from torchsde._brownian import brownian_interval

    def randn(size: Shape, dtype: torch.dtype, device: torch.device, seed: int) -> Tensor:
        return PhiloxStream(int(seed)).randn(tuple(size)).to(device, dtype)

    with _torchsde_lock:
        original, brownian_interval._randn = brownian_interval._randn, randn
        try:
            yield
        finally:
            brownian_interval._randn = original


def ordered(one: float, other: float) -> tuple[float, float]:
    """Both sigmas, lower first, rounded to float32: the peers' path is a function of float32 times."""
    return tuple(sorted((float(np.float32(one)), float(np.float32(other)))))


class BrownianNoise:
    """Unit normal noise (W(sigma) - W(sigma_next)) / sqrt(|sigma - sigma_next|) of one image's Brownian path W."""

    def __init__(self, image: ImageNoise, sigma_min: float, sigma_max: float) -> None:
        import torchsde

        self.image = image
        origin = torch.zeros(image.shape, device=image.device if image.spec.source == "GPU" else "cpu")
        low, high = ordered(sigma_min, sigma_max)
        self.limits = round(low, 6), round(high, 6)  # as torchsde rounds them; it warns about times outside
        with philox_brownian(image.spec.source):
            self.tree = torchsde.BrownianTree(t0=low, w0=origin, t1=high, entropy=image.spec.seed)

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        """Noise of the step between two different sigmas inside the limits; the other order changes its sign."""
        low, high = ordered(sigma, sigma_next)
        with philox_brownian(self.image.spec.source):
            increment = self.tree(max(low, self.limits[0]), min(high, self.limits[1]))
        deviation = float(np.sqrt(np.float32(high) - np.float32(low)))
        unit = increment / (deviation if sigma < sigma_next else -deviation)
        return unit.to(self.image.device, self.image.dtype, non_blocking=True)
