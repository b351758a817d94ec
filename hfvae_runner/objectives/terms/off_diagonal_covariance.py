"""The sum of the factors' squared covariances (DIP-VAE, Kumar et al. 2018, the λ_od part of Eq. 6 and 7)."""

import torch
from torch import Tensor

from hfvae_runner.latents.evidence import Blocks
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._covariance import CovarianceTerm
from hfvae_runner.objectives.terms._term import Term


def off_diagonal_covariance(latents: Latents, *, blocks: Blocks = ("continuous",)) -> Term:
    """Build the term Σ_{i≠j} Cov_ij², which counts each pair in both orders and has no unit.

    It is the same for DIP-VAE-I and II: the factors are independent given x, so the posteriors' variances affect the
    diagonal only.

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks, jointly; they must be continuous.

    Raises:
        ConfigError: a chosen block is discrete.
    """
    return CovarianceTerm(latents, blocks, "means", _penalty)


def _penalty(covariance: Tensor) -> Tensor:
    return (covariance - torch.diag(covariance.diagonal())).square().sum()
