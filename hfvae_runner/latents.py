"""The latent vector as named blocks, each with a posterior family and a prior.

Shapes: B batch; S samples and M mixture components where a table pairs them; D the factors (scalar latents) of one
block; F those of all blocks; G blocks; K categories. A Concrete block is one factor.
A *posterior* is the encoder's output, one [B, P_g] tensor of parameters a block; a *sample*, one [B, C_g] tensor each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from hfvae_runner.distributions import categorical, concrete, normal
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.vocabulary import DiscreteDensity

Posterior = Sequence[Tensor]
Sample = Sequence[Tensor]
Noise = Sequence[Tensor]


class Block(Protocol):
    """A named group of latent factors with its posterior family and its prior."""

    @property
    def name(self) -> str: ...
    @property
    def discrete(self) -> bool: ...
    @property
    def enumerated(self) -> bool:
        """Whether log-probabilities are expectations over all categories, not values at the sample."""

    @property
    def factor_names(self) -> tuple[str, ...]:
        """D names: ``style[0]`` … for a vector, the block's own name for a Concrete variable."""

    @property
    def n_parameters(self) -> int:
        """P_g, the encoder outputs per example."""

    @property
    def n_code(self) -> int:
        """C_g, the decoder inputs per example."""

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Parameter-free noise [B, C_g] on the generator's device."""

    def sample(self, parameters: Tensor, noise: Tensor, *, hard: bool) -> Tensor:
        """The reparameterised sample [B, C_g]; ``hard`` draws categories instead of relaxing them."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The sample without noise [B, C_g]: the mean, or the most probable category."""

    def code(self, sample: Tensor) -> Tensor:
        """What the decoder reads, [B, C_g]."""

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        """log q(z_d|x) of each example's own sample, [B, D]; its expectation where the block is enumerated."""

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        """log q(z_s,d | x_m) of factor d for every sample and component, [S, M]. Not for enumerated blocks."""

    def log_prior(self, parameters: Tensor, sample: Tensor) -> Tensor:
        """log p(z_d), [B, D]."""

    def kl(self, parameters: Tensor) -> Tensor | None:
        """KL(q(z_d|x) ‖ p(z_d)) in closed form, [B, D], or None where there is none. Nats."""


@dataclass(frozen=True)
class NormalBlock:
    """D normal factors, q(z_d|x) = N(mean_d, scale_d²), under the prior N(0, 1) each.

    Parameters [B, 2·D]: the means, then the log standard deviations.
    """

    name: str
    size: int
    discrete = False
    enumerated = False

    @property
    def factor_names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}[{d}]" for d in range(self.size))

    @property
    def n_parameters(self) -> int:
        return 2 * self.size

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
        return sample

    def log_prob(self, parameters: Tensor, sample: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        return normal.log_prob(sample, mean, log_scale)

    def log_prob_table(self, parameters: Tensor, sample: Tensor, factor: int) -> Tensor:
        return normal.log_prob_table(sample[:, factor], parameters[:, factor], parameters[:, self.size + factor])

    def log_prior(self, parameters: Tensor, sample: Tensor) -> Tensor:
        return normal.log_prob(sample, sample.new_zeros(()), sample.new_zeros(()))

    def kl(self, parameters: Tensor) -> Tensor | None:
        mean, log_scale = parameters.chunk(2, dim=1)
        return normal.kl_to_standard(mean, log_scale)


@dataclass(frozen=True)
class ConcreteBlock:
    """One variable over K categories, relaxed in training, under the uniform prior.

    Parameters [B, K]: logits. A sample is log y on the simplex (see ``distributions/concrete.py``).

    ``density`` names the log-probability that stands for the variable in every sampled term:

    - ``argmax``: the categorical pmf at the sample's largest coordinate (the HFVAE authors' choice). It is constant
      under the relaxed sample's reparameterisation and E[∇ log q(k)] = 0, so it presses on no logit in expectation.
    - ``enumerate``: the expectation over all categories, the exact gradient.
    - ``concrete``: the density of the relaxed sample, with the same temperature in posterior and prior.

    The closed-form KL is the categorical's to the uniform in all three (JointVAE Sec. 3).
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

    def log_prior(self, parameters: Tensor, sample: Tensor) -> Tensor:
        if self.density == "concrete":
            return concrete.log_prob(sample, torch.zeros_like(sample), self.temperature)[:, None]
        return sample.new_full((len(sample), 1), -math.log(self.categories))

    def kl(self, parameters: Tensor) -> Tensor | None:
        return categorical.kl_to_uniform(parameters)[:, None]


@dataclass(frozen=True)
class Latents:
    """All blocks of the latent vector, in the order in which the decoder reads them."""

    blocks: tuple[Block, ...]

    @property
    def factor_names(self) -> tuple[str, ...]:
        return tuple(name for block in self.blocks for name in block.factor_names)

    @property
    def n_code(self) -> int:
        """The decoder's inputs per example."""
        return sum(block.n_code for block in self.blocks)

    def select(self, names: Sequence[str] | None) -> tuple[int, ...]:
        """The indices of the named blocks; ``continuous`` and ``discrete`` name all of a kind, None all there are.

        Raises:
            ConfigError: a name that no block has, or a kind of which there is none.
        """
        if names is None:
            return tuple(range(len(self.blocks)))
        kinds = {"continuous": False, "discrete": True}
        chosen: set[int] = set()
        for name in names:
            found = [
                g for g, block in enumerate(self.blocks) if block.name == name or kinds.get(name) == block.discrete
            ]
            if not found:
                known = [block.name for block in self.blocks]
                raise ConfigError(
                    f"no {name} block among the prior's blocks ({', '.join(known)}){nearest(name, known)}"
                )
            chosen.update(found)
        return tuple(sorted(chosen))

    def factor_slices(self) -> list[slice]:
        """Where each block's factors stand among the F of all."""
        ends = [0]
        for block in self.blocks:
            ends.append(ends[-1] + len(block.factor_names))
        return [slice(start, end) for start, end in pairwise(ends)]

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Noise:
        """Parameter-free noise for a batch, one [B, C_g] tensor a block."""
        return [block.noise(batch, generator, dtype) for block in self.blocks]

    def sample(self, posterior: Posterior, noise: Noise, *, hard: bool = False) -> Sample:
        """The reparameterised sample of every block."""
        triples = zip(self.blocks, posterior, noise, strict=True)
        return [block.sample(parameters, noise_g, hard=hard) for block, parameters, noise_g in triples]

    def mode(self, posterior: Posterior) -> Sample:
        """Means and most probable categories."""
        return [block.mode(parameters) for block, parameters in zip(self.blocks, posterior, strict=True)]

    def code(self, sample: Sample) -> Tensor:
        """What the decoder reads, [B, Σ C_g]."""
        return torch.cat([block.code(z) for block, z in zip(self.blocks, sample, strict=True)], dim=1)

    def with_density(self, density: DiscreteDensity) -> "Latents":
        """The same blocks with another log-probability for the discrete ones."""
        return Latents(
            tuple(
                replace(block, density=density) if isinstance(block, ConcreteBlock) else block for block in self.blocks
            )
        )


def normal_prior(*, size: int) -> Latents:
    """``prior=normal``: one block ``z`` of ``size`` standard normal factors."""
    _at_least("prior.size", size, 1)
    return Latents((NormalBlock("z", size),))


def normal_concrete_prior(
    *, continuous: int, categories: int | None, temperature: float, n_classes: int | None
) -> Latents:
    """``prior=normal_concrete``: a normal block ``style`` and a Concrete block ``class`` (HFVAE Table 2; JointVAE).

    Args:
        continuous: the size of ``style``.
        categories: K of ``class``; None takes as many as the data set has classes.
        temperature: of the relaxation, in posterior and prior.
        n_classes: what the data set says; None if it has no labels.

    Raises:
        ConfigError: K is neither given nor known, or a number is out of range.
    """
    if categories is None and n_classes is None:
        raise ConfigError(
            "prior=normal_concrete: the data set has no classes, so the number of categories must be given; "
            "expected prior.categories=K, or prior=normal"
        )
    k = categories if categories is not None else n_classes
    assert k is not None
    _at_least("prior.continuous", continuous, 1)
    _at_least("prior.categories", k, 2)
    if not isinstance(temperature, int | float) or isinstance(temperature, bool) or not 0 < temperature < math.inf:
        raise ConfigError(f"prior.temperature={temperature!r}: expected a number above 0")
    return Latents((NormalBlock("style", continuous), ConcreteBlock("class", k, float(temperature))))


def _at_least(key: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}={value!r}: expected a whole number from {least} on")
