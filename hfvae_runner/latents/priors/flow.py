"""A factorial prior with a learned planar flow for each factor (β-TCVAE's ablation: 32 steps per dimension)."""

import torch
from torch import Tensor, nn

from hfvae_runner.distributions import planar
from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior, Latents
from hfvae_runner.latents.priors._checks import at_least
from hfvae_runner.latents.priors._parameters import plain

_QUANTILES = 999


class PlanarFlow(FactorialPrior):
    """Prior of independent factors in one block, each a standard normal variable under K increasing planar steps.

    The flow maps z to the base, so that the density is explicit; a draw is computed by bisection. The initial flow is
    the identity: p(z) = N(0, I).

    Args:
        block: a block of D factors.
        steps: K.
    """

    block: NormalBlock

    def __init__(self, block: NormalBlock, steps: int) -> None:
        super().__init__(block)
        shape = (block.size, steps)
        self.u = nn.Parameter(torch.zeros(shape))
        # Not 0: steps with equal initial values would stay equal.
        self.w = nn.Parameter(torch.randn(shape))
        self.b = nn.Parameter(torch.randn(shape))

    def factors(self, sample: Tensor) -> Tensor:
        return planar.log_prob(sample, self.u, self.w, self.b)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (base,) = noise
        return [planar.inverse(base, self.u, self.w, self.b)]

    @torch.no_grad()
    def settings(self) -> dict[str, object]:
        """Return the means and standard deviations of the factors, by quadrature over the base's quantiles."""
        levels = (torch.arange(_QUANTILES, device=self.u.device, dtype=self.u.dtype) + 0.5) / _QUANTILES
        base = torch.special.ndtri(levels)[:, None].expand(-1, self.block.size)
        z = planar.inverse(base, self.u, self.w, self.b)
        return {"steps": self.u.shape[1], "means": plain(z.mean(0)), "deviations": plain(z.std(0)), "learned": True}


def flow(*, size: int, steps: int) -> Latents:
    """Build the latents of ``prior=flow``: one block ``z`` of independent factors, each with a learned density.

    Args:
        size: the number of factors.
        steps: planar steps per factor.

    Raises:
        ConfigError: a number is out of range.
    """
    block = NormalBlock("z", at_least("prior.size", size, 1))
    return Latents([PlanarFlow(block, at_least("prior.steps", steps, 1))])
