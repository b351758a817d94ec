"""A factorial generalised normal prior, density ∝ exp(−|z|^p/s) (ISA-VAE Sec. 3.1, Eq. 5)."""

import torch
from torch import Tensor

from hfvae_runner.distributions import generalised_normal as family
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least, flag, positive
from hfvae_runner.latents.priors._parameters import Bounded, plain

LEAST_EXPONENT = 1.0
"""Lower bound of learned exponents: below 1 the density is proper too, but its slope at z = 0 is unbounded."""


class GeneralisedNormal(FactorialPrior):
    """Prior of independent generalised normal factors in one block, with one exponent for all.

    The KL divergence has no closed form.
    """

    block: NormalBlock
    reparameterised = False

    def __init__(self, block: NormalBlock, exponent: Bounded, scale: float) -> None:
        super().__init__(block)
        self.exponent = exponent
        self.scale = scale

    def factors(self, sample: Tensor) -> Tensor:
        return family.log_prob(sample, self.exponent().to(sample.dtype), self.scale)

    @torch.no_grad()
    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        exponent = self.exponent().to(generator.device)
        return [family.draw((draws, self.block.size), exponent, self.scale, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        return noise

    def settings(self) -> dict[str, object]:
        return {"exponent": plain(self.exponent()), "scale": self.scale, "learned": self.learned}


def generalised_normal(*, size: int, exponent: float, scale: float, learned: bool) -> Latents:
    """Build the latents of ``prior=generalised_normal``: one block ``z``, p(z) ∝ ∏_d exp(−|z_d|^p/s).

    Args:
        size: the number of factors.
        exponent: p; if learned, its initial value, above 1.
        scale: s.
        learned: whether p is trained; it stays above 1.

    Raises:
        ConfigError: a value is out of range.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    start = positive("prior.exponent", exponent)
    power = Bounded("prior.exponent", start, learned=flag("prior.learned", learned), bound=LEAST_EXPONENT)
    return Latents([GeneralisedNormal(block, power, positive("prior.scale", scale))])
