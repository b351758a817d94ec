"""Blocks of the latent vector: named groups of factors, each with its posterior family.

Shapes: B batch; S samples and M mixture components of a table; D factors (scalar latents) of one block; K categories.
V values of a codebook.
A Concrete block has one factor.
A *posterior* is the encoder's output: one tensor [B, P_g] of parameters for each block. A *sample* is one tensor
[B, C_g] for each block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from hfvae_runner.config.names import DiscreteDensity
from hfvae_runner.distributions import categorical, concrete, normal
from hfvae_runner.distributions.fused_mixture import Categories, Factors, Normals
from hfvae_runner.errors import ConfigError

Posterior = Sequence[Tensor]
Sample = Sequence[Tensor]
Noise = Sequence[Tensor]


class Block(Protocol):
    """A named group of latent factors with its posterior family."""

    @property
    def name(self) -> str: ...
    @property
    def discrete(self) -> bool:
        """Whether the block is one variable over C_g categories, with logits as parameters."""

    @property
    def enumerated(self) -> bool:
        """Whether log-probabilities are expectations over all categories, not values at the sample."""

    @property
    def factor_names(self) -> tuple[str, ...]:
        """D names: ``style[0]`` … for a normal block, the block's own name for a Concrete block."""

    @property
    def n_parameters(self) -> int:
        """The number of encoder outputs per example: P_g, or 0 if the encoder does not infer the block."""

    @property
    def n_code(self) -> int:
        """C_g, the number of decoder inputs per example."""

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Return parameter-free noise on the generator's device: [B, C_g], or [B, 0] if q(z|x) is a point."""

    def sample(self, parameters: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
        """Return a reparameterised sample [B, C_g]; ``hard`` draws categories instead of relaxing them."""

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the sample without noise, [B, C_g]: the mean, or the most probable category."""

    def code(self, sample: Tensor) -> Tensor:
        """Return the decoder's input, [B, C_g]."""

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        """Return log q(z_d|x) of each example's own sample, [B, D], in nats.

        An enumerated block returns the expectation of log q(z_d|x) over all categories.
        """

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        """Return log q(z_s,d | x_m) of factor d for every sample and component, [S, M], in nats.

        Raises:
            ValueError: the block is enumerated.
        """

    def factors(self, parameters: Tensor, sample: Tensor) -> Factors | None:
        """Return samples and components for the fused kernel, or None if they are neither normal nor categorical."""


@dataclass(frozen=True)
class NormalBlock:
    """Block of D normal factors, q(z_d|x) = N(mean_d, scale_d²).

    Parameters [B, 2·D]: the means, then the log standard deviations.

    Attributes:
        name: the block's name.
        size: D.
        inferred: whether the encoder infers the factors. If not, q(z_d|x) is N(0, 1) for every example.
        uniform: whether the decoder reads 2Φ(z_d) − 1, which is uniform on (−1, 1) where z_d is N(0, 1); Φ is the
            standard normal distribution function. This map is one-to-one, so it changes no mutual information.
    """

    name: str
    size: int
    inferred: bool = True
    uniform: bool = False
    discrete = False
    enumerated = False

    @property
    def factor_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}[{d}]" for d in range(self.size))

    @property
    def n_parameters(self) -> int:
        return 2 * self.size if self.inferred else 0

    @property
    def n_code(self) -> int:
        return self.size

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        return torch.randn((batch, self.size), generator=generator, device=generator.device, dtype=dtype)

    def sample(self, parameters: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        return normal.sample(mean, log_scale, noise)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters[:, : self.size]

    def code(self, sample: Tensor) -> Tensor:
        return torch.erf(sample / math.sqrt(2)) if self.uniform else sample

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        return normal.log_prob(sample, mean, log_scale)

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        return normal.log_prob_table(sample[:, factor], parameters[:, factor], parameters[:, self.size + factor])

    def factors(self, parameters: Tensor, sample: Tensor) -> Factors | None:
        return Normals(sample, *parameters.chunk(2, dim=1))


@dataclass(frozen=True)
class ConcreteBlock:
    """Block of one variable over K categories, relaxed in training.

    Parameters [B, K]: logits. A sample is log y with y on the simplex (see ``distributions/concrete.py``).

    ``density`` selects the log-probability of the variable in every sampled term:

    - ``argmax``: the categorical pmf at the sample's largest coordinate (the HFVAE authors' choice). It is constant
      under the relaxed sample's reparameterisation and E[∇ log q(k)] = 0, so its expected gradient is 0 for all logits.
    - ``enumerate``: the expectation over all categories, the exact gradient.
    - ``concrete``: the density of the relaxed sample, with the same temperature in posterior and prior.
    """

    name: str
    categories: int
    temperature: float
    density: DiscreteDensity = "argmax"
    discrete = True

    @property
    def enumerated(self) -> bool:
        return self.density == "enumerate"

    @property
    def factor_names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def n_parameters(self) -> int:
        return self.categories

    @property
    def n_code(self) -> int:
        return self.categories

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        return concrete.gumbel_noise((batch, self.categories), generator, dtype)

    def sample(self, parameters: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
        if hard:
            return concrete.hard_log_sample(parameters, noise)
        return concrete.log_sample(parameters, noise, self.temperature)

    def mode(self, parameters: Tensor) -> Tensor:
        return concrete.hard_log_sample(parameters, torch.zeros_like(parameters))

    def code(self, sample: Tensor) -> Tensor:
        return sample.exp()

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        match self.density:
            case "argmax":
                return categorical.log_probs(parameters).gather(1, sample.argmax(1, keepdim=True))
            case "enumerate":
                return -categorical.entropy(parameters)[:, None]
            case "concrete":
                return concrete.log_prob(sample, parameters, self.temperature)[:, None]

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        if self.density == "argmax":
            return categorical.log_probs(parameters).T[sample.argmax(1)]
        if self.density == "concrete":
            return concrete.log_prob(sample[:, None, :], parameters[None, :, :], self.temperature)
        raise ValueError(f"block {self.name} is enumerated: it has no log-probability at a sample")

    def factors(self, parameters: Tensor, sample: Tensor) -> Factors | None:
        if self.density != "argmax":
            return None
        return Categories(sample.argmax(1), categorical.log_probs(parameters))


class QuantisedBlock(nn.Module):
    """Block of D factors, each of which takes the nearest value of its own scalar codebook (Hsu et al. 2023, Sec. 4.1).

    Parameters [B, D]: the real numbers that are quantised. q(z|x) is a single point, so it has neither noise nor a
    density. Gradients pass straight through the quantisation to the encoder, and do not reach the codebooks.

    The block is a module because its codebooks [D, V] are trained; its prior registers it.

    Args:
        name: the block's name.
        size: D.
        values: V, at least 2. The values are evenly spaced from −½ to ½ at first, as in the paper.
    """

    discrete = False
    enumerated = False

    def __init__(self, name: str, size: int, values: int) -> None:
        super().__init__()
        self.name = name
        self.size = size
        self.codebook = nn.Parameter(torch.linspace(-0.5, 0.5, values).repeat(size, 1))

    @property
    def factor_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}[{d}]" for d in range(self.size))

    @property
    def n_parameters(self) -> int:
        return self.size

    @property
    def n_code(self) -> int:
        return self.size

    @property
    def n_values(self) -> int:
        """V, the number of values in each codebook."""
        return self.codebook.shape[1]

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        return torch.empty((batch, 0), device=generator.device, dtype=dtype)

    def index(self, parameters: Tensor) -> Tensor:
        """Return the place of the nearest value in each factor's codebook, [B, D] -> int64 [B, D]."""
        return (parameters[:, :, None] - self.codebook).abs().argmin(2)

    def at(self, index: Tensor) -> Tensor:
        """Return the codebooks' values at these places, int64 [B, D] -> [B, D], with gradients to the codebooks."""
        table = self.codebook.expand(index.shape[0], -1, -1)
        return table.gather(2, index[:, :, None])[:, :, 0]

    def nearest(self, parameters: Tensor) -> Tensor:
        """Return the nearest values, [B, D], with gradients to the codebooks and none to the parameters."""
        return self.at(self.index(parameters))

    def sample(self, parameters: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
        return self.mode(parameters)

    def mode(self, parameters: Tensor) -> Tensor:
        # The difference is exactly 0, so the sample is exactly a value of the codebook.
        return self.nearest(parameters).detach() + (parameters - parameters.detach())

    def code(self, sample: Tensor) -> Tensor:
        return sample

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        raise self.no_density()

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        raise self.no_density()

    def factors(self, parameters: Tensor, sample: Tensor) -> Factors | None:
        return None

    def no_density(self) -> ConfigError:
        """Return the error of a term that asks for a density of this block."""
        return ConfigError(
            f"block {self.name} is quantised, and its posterior is a point without a density; expected a term that "
            "needs none, or `blocks` without it"
        )
