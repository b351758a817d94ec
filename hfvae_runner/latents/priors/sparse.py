"""A sparse prior: every factor is off, close to 0, with probability γ (α-β paper, Sec. 6.3 and App. B)."""

import math

import torch
from torch import Tensor

from hfvae_runner.distributions import normal
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, positive, share


class SpikeAndSlab(FactorialPrior):
    """Spike-and-slab prior ∏_d [(1−γ)·N(z_d; 0, 1) + γ·N(z_d; 0, σ₀²)]. The KL divergence has no closed form.

    Args:
        block: a block of D factors.
        gamma: γ, the weight of the narrow component.
        sigma: σ₀, the standard deviation of the narrow component.
    """

    block: NormalBlock

    def __init__(self, block: NormalBlock, gamma: float, sigma: float) -> None:
        super().__init__(block)
        self.gamma = gamma
        self.sigma = sigma

    def factors(self, sample: Tensor) -> Tensor:
        zero = sample.new_zeros(())
        on = normal.log_prob(sample, zero, zero)
        off = normal.log_prob(sample, zero, zero + math.log(self.sigma))
        return torch.logaddexp(on + _log(1 - self.gamma), off + _log(self.gamma))

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        uniform = torch.rand((draws, self.block.size), generator=generator, device=generator.device, dtype=dtype)
        return [uniform, self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        uniform, standard = noise
        return [torch.where(uniform < self.gamma, self.sigma * standard, standard)]

    def settings(self) -> dict[str, object]:
        return {"gamma": self.gamma, "sigma": self.sigma}


def sparse(*, size: int, gamma: float, sigma: float) -> Latents:
    """Build the latents of ``prior=sparse``: one block ``z``, each factor a mixture of N(0, 1) and N(0, σ₀²).

    Args:
        size: the number of factors.
        gamma: γ, the weight of the narrow component, from 0 (the standard normal prior) to 1.
        sigma: σ₀, the standard deviation of the narrow component.

    Raises:
        ConfigError: a value is out of range.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    return Latents([SpikeAndSlab(block, share("prior.gamma", gamma), positive("prior.sigma", sigma))])


def _log(weight: float) -> float:
    return math.log(weight) if weight > 0 else -math.inf
