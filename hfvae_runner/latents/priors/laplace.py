"""A factorial Laplace prior (the generalised normal of ISA-VAE Eq. 5 with p = 1)."""

import math

import torch
from torch import Tensor

from hfvae_runner.distributions import laplace as laplace_distribution
from hfvae_runner.distributions.normal import HALF_LOG_2PI
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, flag, positive
from hfvae_runner.latents.priors._parameters import Bounded, plain


class Laplace(FactorialPrior):
    """Prior of independent Laplace factors with location 0 in one block, with one scale b for all."""

    block: NormalBlock

    def __init__(self, block: NormalBlock, scale: Bounded) -> None:
        super().__init__(block)
        self.scale = scale

    def factors(self, sample: Tensor) -> Tensor:
        return laplace_distribution.log_prob(sample, sample.new_zeros(()), self.scale().log())

    def factor_kl(self, parameters: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        # ``magnitude``: E|z| for z ~ N(mean, σ²), the mean of the folded normal distribution (Leone et al. 1961).
        ratio = mean * torch.exp(-log_scale)
        peak = math.sqrt(2 / math.pi) * torch.exp(log_scale - 0.5 * ratio.square())
        magnitude = peak + mean * torch.erf(ratio / math.sqrt(2))
        negative_entropy = -(log_scale + HALF_LOG_2PI + 0.5)
        scale: Tensor = self.scale()
        return negative_entropy + torch.log(2 * scale) + magnitude / scale

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [laplace_distribution.noise((draws, self.block.size), generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (standard,) = noise
        return [laplace_distribution.sample(standard.new_zeros(()), self.scale().log(), standard)]

    def settings(self) -> dict[str, object]:
        return {"scale": plain(self.scale()), "learned": self.learned}


def laplace(*, size: int, scale: float, learned: bool) -> Latents:
    """Build the latents of ``prior=laplace``: one block ``z``, p(z) = ∏_d exp(−|z_d|/b)/(2b).

    Args:
        size: the number of factors.
        scale: b; its initial value if learned.
        learned: whether b is trained.

    Raises:
        ConfigError: a value is out of range.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    start = positive("prior.scale", scale)
    return Latents([Laplace(block, Bounded("prior.scale", start, learned=flag("prior.learned", learned), bound=0.0))])
