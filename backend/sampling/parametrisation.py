"""What a network's output means, and how it is fed: from a latent at any noise level to its input and back.

Every parametrisation is the preconditioning of Karras et al. 2022 (equation 7) with data of unit variance: the denoised
latent is c_skip * x + c_out * F(c_in * x, timestep), where x = clean latent + sigma * unit noise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from backend.sampling.noise_table import NoiseTable, lcm_boundary, lcm_discretisation, lcm_timestep

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Scalings:
    """The numbers of one noise level: what x is multiplied by, what the output is, and the network's timestep."""

    c_in: float
    c_skip: float
    c_out: float
    timestep: float             # on the network's own scale, may be fractional


@dataclass(frozen=True, eq=False)
class Parametrisation(ABC):
    """How a network was trained. `table` holds the noise levels that it knows."""

    table: NoiseTable

    def in_half_precision(self) -> Self:
        """The same with its noise levels rounded to 16 bits."""
        return replace(self, table=self.table.in_half_precision())

    @abstractmethod
    def scalings(self, sigma: float) -> Scalings:
        """The numbers at a noise level > 0."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """The denoised latent from the network's output."""
        at = self.scalings(sigma)
        return x * at.c_skip + output * at.c_out

    def predicted(self, x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
        """The output that would give `denoised`: the quantity whose contrast rescaled guidance restores."""
        at = self.scalings(sigma)
        return (denoised - x * at.c_skip) / at.c_out


class Epsilon(Parametrisation):
    """The network predicts the unit noise (Ho et al. 2020)."""

    def scalings(self, sigma: float) -> Scalings:
        return Scalings(1 / math.sqrt(sigma**2 + 1), 1.0, -sigma, self.table.sigma_to_t(sigma))


class Velocity(Parametrisation):
    """The network predicts v = noise * cos - clean * sin of the angle atan(sigma) (Salimans and Ho 2022)."""

    def scalings(self, sigma: float) -> Scalings:
        power = sigma**2 + 1
        root = math.sqrt(power)
        return Scalings(1 / root, 1 / power, -sigma / root, self.table.sigma_to_t(sigma))


@dataclass(frozen=True, eq=False)
class Flow(Parametrisation):
    """The network predicts noise - clean on straight paths (Lipman et al. 2023; rectified flow, Liu et al. 2023).

    Its latent is (1 - t) * clean + t * noise, which is x / (1 + sigma) with sigma = t / (1 - t): an Euler step in t
    and one in sigma are the same, so flow networks need no samplers of their own. Timesteps count t in `steps`.
    """

    steps: int = 1000

    def scalings(self, sigma: float) -> Scalings:
        t = sigma / (1 + sigma)
        return Scalings(1 - t, 1 - t, -t, t * self.steps)


@dataclass(frozen=True, eq=False)
class Consistency(Parametrisation):
    """A latent consistency model (Luo et al. 2023) over the levels it was distilled on, with its boundary condition.

    At sigma 0 its function is the identity: the denoised latent is c_out * (what the network means) + c_skip * x.
    """

    network: Parametrisation

    @classmethod
    def of(cls, network: Parametrisation) -> Self:
        """The consistency function of a network whose output `network` explains."""
        return cls(lcm_discretisation(network.table), network)

    def scalings(self, sigma: float) -> Scalings:
        timestep = lcm_timestep(self.table, sigma, len(self.network.table))
        skip, out = lcm_boundary(timestep)
        at = self.network.scalings(sigma)
        return Scalings(at.c_in, out * at.c_skip + skip, out * at.c_out, timestep)


PARAMETRISATIONS: dict[str, type[Parametrisation]] = {"epsilon": Epsilon, "v": Velocity, "flow": Flow}
"""By the names that configs and side-cars use."""
