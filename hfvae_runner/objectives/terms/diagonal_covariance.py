"""The squared deviation of the factors' variances from 1 (DIP-VAE, Kumar et al. 2018, λ_d part of Eq. 6 and 7)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._covariance import CovarianceTerm, Of
from hfvae_runner.objectives.terms._term import Term


def diagonal_covariance(latents: Latents, *, blocks: Blocks = ("continuous",), of: Of = "means") -> Term:
    """Build the term Σ_i (Cov_ii − 1)², which has no unit.

    The 1 is the variance of the standard normal prior. It is used with every prior.

    Args:
        latents: the latents to which the term is bound.
        blocks: only these blocks, which must be continuous.
        of: ``means`` (DIP-VAE-I) or ``samples`` (DIP-VAE-II).

    Raises:
        ConfigError: a chosen block is discrete.
    """
    return CovarianceTerm(latents, blocks, of, _penalty)


def _penalty(covariance: Tensor) -> Tensor:
    return (covariance.diagonal() - 1).square().sum()
