"""The covariance of a batch's continuous factors, as in DIP-VAE (Kumar et al. 2018, Sec. 3).

Shapes: B batch; D chosen factors.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, NormalBlock, Posterior
from hfvae_runner.latents.evidence import Blocks, Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._term import Term

Of = Literal["means", "samples"]
"""Covariance of the posterior means, Cov[μ] (DIP-VAE-I), or of samples of q(z), Cov[μ] + diag E[σ²] (DIP-VAE-II)."""


class CovarianceTerm(Term):
    """Term that is a function of the covariance [D, D].

    Averages are over the batch with weights 1/B: the covariance of ``samples`` is exactly that of the batch's q(z).

    Raises:
        ConfigError: a chosen block is discrete.
    """

    def __init__(self, latents: Latents, blocks: Blocks, of: Of, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.chosen = latents.select(blocks)
        self.of: Of = of
        self.function = function
        for g in self.chosen:
            if not isinstance(latents.blocks[g], NormalBlock):
                raise ConfigError(f"blocks: {latents.blocks[g].name} is discrete; expected continuous blocks only")

    def forward(self, evidence: Evidence, noise: Sequence[Noise]) -> Tensor:
        return self.function(self._covariance(evidence.posterior))

    def _covariance(self, posterior: Posterior) -> Tensor:
        halves = [posterior[g].chunk(2, dim=1) for g in self.chosen]
        mean = torch.cat([mean for mean, _log_scale in halves], dim=1)
        centred = mean - mean.mean(0)
        of_means = centred.T @ centred / len(mean)
        if self.of == "means":
            return of_means
        variance = torch.cat([(2 * log_scale).exp() for _mean, log_scale in halves], dim=1)
        return of_means + torch.diag(variance.mean(0))
