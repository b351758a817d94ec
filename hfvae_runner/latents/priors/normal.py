"""The standard normal prior, N(0, 1) for every factor."""

import torch
from torch import Tensor

from hfvae_runner.distributions import normal as normal_distribution
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least


class StandardNormal(FactorialPrior):
    """Prior of independent standard normal factors in one block."""

    block: NormalBlock

    def __init__(self, block: NormalBlock) -> None:
        super().__init__(block)

    def factors(self, sample: Tensor) -> Tensor:
        return normal_distribution.log_prob(sample, sample.new_zeros(()), sample.new_zeros(()))

    def factor_kl(self, parameters: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        return normal_distribution.kl_to_standard(mean, log_scale)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        return noise


def normal(*, size: int) -> Latents:
    """Build the latents of ``prior=normal``: one block ``z`` of ``size`` factors.

    Raises:
        ConfigError: ``size`` is not a whole number from 1 on.
    """
    return Latents([StandardNormal(NormalBlock("z", at_least("prior.size", size, 1)))])
