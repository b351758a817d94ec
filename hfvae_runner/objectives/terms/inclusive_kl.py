"""The inclusive divergence of the prior from the aggregate posterior, KL(p(z) ‖ q(z)) (α-β paper, App. B).

Shapes: B examples, and B draws from the prior.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.latents.aggregate import MixtureAggregate
from hfvae_runner.latents.blocks import Noise
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._prior_draws import chosen_for_draws
from hfvae_runner.objectives.terms._term import Term


class InclusiveKL(Term):
    """Term of ``inclusive_kl``."""

    def __init__(self, latents: Latents, blocks: Blocks) -> None:
        super().__init__()
        self.chosen = chosen_for_draws(latents, blocks)
        self.prior_noise = latents.prior_noise

    def noise(self, batch: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Sequence[Noise]:
        return self.prior_noise(batch, generator, dtype)

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        latents = evidence.latents
        if any(block.enumerated for block in latents.blocks):
            # A draw from the prior has a category, so there is no average over categories.
            latents = latents.with_density("argmax")
        z = latents.prior_sample(noise)
        uniform = Weights.uniform(-math.log(len(evidence.log_px)))
        q_z = MixtureAggregate(latents, evidence.posterior, evidence.posterior, z, uniform)
        # 1/B Σ_j [log p(z_j) − log 1/B Σ_i q(z_j|x_i)]. The paper's formula omits the factors 1/B and 1/n.
        return (latents.log_prior("joint", z, self.chosen) - q_z.log_prob("joint", self.chosen)).mean()


def inclusive_kl(latents: Latents, *, blocks: Blocks = None) -> Term:
    """Build the term 1/B Σ_j [log p(z_j) − log 1/B Σ_i q(z_j|x_i)] over B new draws z_j from the prior, in nats.

    q(z) is that of the batch alone. If the batch is a part of the data set, the divergence is overestimated. Given
    labels have no effect: q(y|x) is part of q(z).

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks, jointly.

    Raises:
        ConfigError: the prior is learned and its draws are not reparameterised.
    """
    return InclusiveKL(latents, blocks)
