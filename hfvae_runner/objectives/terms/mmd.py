"""The squared maximum mean discrepancy between the aggregate posterior and the prior (α-β paper, App. B; InfoVAE; WAE).

Shapes: B examples, and B draws from the prior; C columns of the code.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.config.names import Kernel, Statistic
from hfvae_runner.latents.blocks import Noise, Sample
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.metrics.mmd import mmd_squared
from hfvae_runner.objectives.terms._prior_draws import chosen_for_draws
from hfvae_runner.objectives.terms._term import Term


class MaximumMeanDiscrepancy(Term):
    """Term of ``mmd``."""

    def __init__(self, latents: Latents, blocks: Blocks, kernel: Kernel, statistic: Statistic) -> None:
        super().__init__()
        self.chosen = chosen_for_draws(latents, blocks)
        self.prior_noise = latents.prior_noise
        self.kernel: Kernel = kernel
        self.statistic: Statistic = statistic

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Sequence[Noise]:
        return self.prior_noise(batch, generator, dtype)

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        x = self._code(evidence.latents, evidence.sample)
        y = self._code(evidence.latents, evidence.latents.prior_sample(noise))
        return mmd_squared(x, y, kernel=self.kernel, statistic=self.statistic)

    def _code(self, latents: Latents, sample: Sample) -> Tensor:
        """Return the chosen blocks' code, [B, C]."""
        return torch.cat([latents.blocks[g].code(sample[g]) for g in self.chosen], dim=1)


def mmd(latents: Latents, *, blocks: Blocks = None, kernel: Kernel = "imq", statistic: Statistic = "u") -> Term:
    """Build the term MMD² between the samples of the batch and B new draws from the prior, which has no unit.

    A discrete variable is represented on both sides by its relaxed code, one column for each category.

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks, jointly.
        kernel: see ``metrics.mmd``.
        statistic: ``u`` is unbiased and may be negative; ``v`` includes the pair of each point with itself.

    Raises:
        ConfigError: the prior is learned and its draws are not reparameterised.
    """
    return MaximumMeanDiscrepancy(latents, blocks, kernel, statistic)
