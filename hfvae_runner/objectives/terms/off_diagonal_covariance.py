"""How far the factors' covariances are from 0 (DIP-VAE, Kumar et al. 2018, the λ_od part of Eq. 6 and 7)."""

import torch
from torch import Tensor

from hfvae_runner.latents.evidence import Blocks
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._covariance import CovarianceTerm
from hfvae_runner.objectives.terms._term import Term


def off_diagonal_covariance(latents: Latents, *, blocks: Blocks = ("continuous",)) -> Term:
    """Σ_{i≠j} Cov_ij², each pair in both orders; without a unit. The same for DIP-VAE-I and II: given x, the factors
    are independent, so that the posteriors' variances are on the diagonal only.

    Args:
        blocks: only these blocks, together; continuous ones.
    """
    return CovarianceTerm(latents, blocks, "means", _penalty)


def _penalty(covariance: Tensor) -> Tensor:
    return (covariance - torch.diag(covariance.diagonal())).square().sum()
