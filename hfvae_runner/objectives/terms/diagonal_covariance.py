"""How far the factors' variances are from 1 (DIP-VAE, Kumar et al. 2018, the λ_d part of Eq. 6 and 7)."""

from torch import Tensor

from hfvae_runner.latents.evidence import Blocks
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives.terms._covariance import CovarianceTerm, Of
from hfvae_runner.objectives.terms._term import Term


def diagonal_covariance(latents: Latents, *, blocks: Blocks = ("continuous",), of: Of = "means") -> Term:
    """Σ_i (Cov_ii − 1)², without a unit. The 1 is the standard normal prior's, whatever the prior.

    Args:
        blocks: only these blocks; continuous ones.
        of: ``means`` (DIP-VAE-I) or ``samples`` (DIP-VAE-II).
    """
    return CovarianceTerm(latents, blocks, of, _penalty)


def _penalty(covariance: Tensor) -> Tensor:
    return (covariance.diagonal() - 1).square().sum()
