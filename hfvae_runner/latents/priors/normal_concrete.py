"""A normal block, and discrete variables with uniform priors (HFVAE Table 2; JointVAE)."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity
from hfvae_runner.distributions import categorical, concrete
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import ConcreteBlock, Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, positive
from hfvae_runner.latents.priors.normal import StandardNormal


class UniformConcrete(FactorialPrior):
    """Uniform prior over the categories of one variable; for the relaxed density, a Concrete prior with equal weights.

    The closed-form KL is from the categorical to the uniform distribution, for every ``density`` of the block (JointVAE
    Sec. 3).
    """

    block: ConcreteBlock

    def __init__(self, block: ConcreteBlock) -> None:
        super().__init__(block)

    def factors(self, sample: Tensor) -> Tensor:
        if self.block.density == "concrete":
            return concrete.log_prob(sample, torch.zeros_like(sample), self.block.temperature)[:, None]
        return sample.new_full((len(sample), 1), -math.log(self.block.categories))

    def factor_kl(self, parameters: Tensor) -> Tensor:
        return categorical.kl_to_uniform(parameters)[:, None]

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (gumbel,) = noise
        return [self.block.sample(torch.zeros_like(gumbel), gumbel, hard=hard)]

    def with_density(self, density: DiscreteDensity) -> "UniformConcrete":
        return UniformConcrete(replace(self.block, density=density))


def normal_concrete(
    *, continuous: int, categories: int | Sequence[int] | None, temperature: float, n_classes: int | None
) -> Latents:
    """Build the latents of ``prior=normal_concrete``: a normal block ``style`` and one or more Concrete blocks.

    Args:
        continuous: the size of ``style``.
        categories: K of the Concrete block ``class``; None: the data set's number of classes. A list gives one variable
            for each entry: ``class_1``, ``class_2`` and so on.
        temperature: temperature of the relaxation, in posterior and prior.
        n_classes: number of classes of the data set; None if it has no labels.

    Raises:
        ConfigError: K is neither given nor known, or a number is out of range.
    """
    if categories is None and n_classes is None:
        raise ConfigError(
            "prior=normal_concrete: the data set has no classes, so the number of categories must be given; "
            "expected prior.categories=K, or prior=normal"
        )
    at_least("prior.continuous", continuous, 1)
    discrete = uniform_concretes(n_classes if categories is None else categories, temperature)
    if not discrete:
        raise ConfigError("prior.categories=[]: expected at least one number of categories, or prior=normal")
    return Latents([StandardNormal(NormalBlock("style", continuous)), *discrete])


def uniform_concretes(categories: object, temperature: object) -> list[UniformConcrete]:
    """Return the Concrete variable ``class`` for one number of categories, or ``class_1``, ``class_2`` … for a list.

    Args:
        categories: K, or a list of them, from ``prior.categories``.
        temperature: temperature of the relaxation, from ``prior.temperature``.

    Raises:
        ConfigError: a number is out of range.
    """
    warmth = positive("prior.temperature", temperature)
    if isinstance(categories, Sequence) and not isinstance(categories, str):
        sizes: dict[str, object] = {f"class_{place}": k for place, k in enumerate(categories, start=1)}
    else:
        sizes = {"class": categories}
    return [
        UniformConcrete(ConcreteBlock(name, at_least("prior.categories", k, 2), warmth)) for name, k in sizes.items()
    ]
