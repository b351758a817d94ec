"""Two normal blocks whose factors are correlated in pairs (HFVAE Sec. 3; with ρ = 0 the prior of Sec. 5.2).

Dimension i of one block and dimension i of the other are normal with unit variances and correlation ρ. Then
p(z) ≠ ∏_g p(z_g), while every factor's marginal is N(0, 1): the prior's part of group_tc (HFVAE Fig. 3, A) is not 0.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.config.names import Level
from hfvae_runner.distributions import normal
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, NormalBlock, Posterior, Sample
from hfvae_runner.latents.latents import Latents, Prior, summed
from hfvae_runner.latents.priors._checks import at_least, finite
from hfvae_runner.latents.priors.normal import StandardNormal


class PairedNormal(Prior):
    """Prior of two standard normal blocks of equal size; ``correlation`` is the correlation of each pair of factors."""

    def __init__(self, first: NormalBlock, second: NormalBlock, correlation: float) -> None:
        super().__init__((first, second))
        self.pair = (first, second)
        self.correlation = correlation
        self.log_rest = 0.5 * math.log1p(-(correlation**2))  # log √(1 − ρ²)

    def log_prob(self, level: Level, sample: Sample, chosen: Sequence[int]) -> Tensor:
        zero = sample[0].new_zeros(())
        factors = [normal.log_prob(sample[g], zero, zero) for g in chosen]
        if level != "joint" or len(chosen) == 1:
            return summed(factors, level)
        first, second = sample
        # p(z₂|z₁) = N(ρ·z₁, 1 − ρ²).
        given_first = normal.log_prob(second, self.correlation * first, zero + self.log_rest)
        return (factors[0] + given_first).sum(1)

    def kl(self, level: Level, posterior: Posterior, chosen: Sequence[int]) -> Tensor:
        halves = [posterior[g].chunk(2, dim=1) for g in chosen]
        if level != "joint" or len(chosen) == 1:
            return summed([normal.kl_to_standard(mean, log_scale) for mean, log_scale in halves], level)
        return self._joint_kl(*halves[0], *halves[1])

    def _joint_kl(self, mean_1: Tensor, log_scale_1: Tensor, mean_2: Tensor, log_scale_2: Tensor) -> Tensor:
        # ½·(tr(R⁻¹S) + mᵀR⁻¹m − 2 + log|R| − log|S|) for each pair, with R = [[1, ρ], [ρ, 1]] and S diagonal.
        spread = torch.exp(2 * log_scale_1) + torch.exp(2 * log_scale_2)
        distance = mean_1.square() + mean_2.square() - 2 * self.correlation * mean_1 * mean_2
        inverse = 1 / (1 - self.correlation**2)
        per_pair = 0.5 * (inverse * (spread + distance) - 2) + self.log_rest - log_scale_1 - log_scale_2
        return per_pair.sum(1)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [block.noise(draws, generator, dtype) for block in self.pair]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        first, second = noise
        return [first, self.correlation * first + math.exp(self.log_rest) * second]

    def settings(self) -> dict[str, object]:
        return {"correlation": self.correlation}


def two_groups(*, sizes: Sequence[int], correlation: float) -> Latents:
    """Build the latents of ``prior=two_groups``: normal blocks ``group_1`` and ``group_2``.

    Args:
        sizes: sizes of the two blocks; they must be equal unless ``correlation`` is 0.
        correlation: ρ, the correlation of dimension i of both blocks, between −1 and 1.

    Raises:
        ConfigError: a number is out of range, or the sizes differ and ``correlation`` is not 0.
    """
    if not isinstance(sizes, list | tuple) or len(sizes) != 2:
        raise ConfigError(f"prior.sizes={sizes!r}: expected two whole numbers, as in [25, 25]")
    first, second = (
        NormalBlock(f"group_{place}", at_least(f"prior.sizes[{place - 1}]", size, 1))
        for place, size in enumerate(sizes, start=1)
    )
    rho = finite("prior.correlation", correlation)
    if not -1 < rho < 1:
        raise ConfigError(f"prior.correlation={correlation!r}: expected a number between -1 and 1")
    if rho == 0:
        return Latents([StandardNormal(first), StandardNormal(second)])
    if sizes[0] != sizes[1]:
        raise ConfigError(f"prior.sizes={list(sizes)!r} with prior.correlation={rho:g}: expected equal sizes, to pair")
    return Latents([PairedNormal(first, second, rho)])
