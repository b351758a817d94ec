"""Unsupervised disentanglement ranking: the agreement of runs of one setting on their latents (Duan et al. 2020).

A model is better if other models found each of its latents again, in one latent of theirs. No factor needs to be known.
Legend: N examples; D latents of a model, D' of another.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from hfvae_runner.config.names import Correlation
from hfvae_runner.metrics._subject import Floats


def udr(
    means: Sequence[Floats],
    kls: Sequence[Floats],
    *,
    correlation: Correlation = "spearman",
    least_kl: float = 0.01,
    penalty: float = 0.1,
) -> list[float]:
    """Return every model's score, 0..1: the median over the other models of its agreement with them.

    Args:
        means: of each model, the posterior means of the same examples, [N, D]; two models or more.
        kls: of each model, the KL of its latents to the prior, [D], nats per example.
        correlation: the comparison R of standardised latents: ``spearman`` is |Spearman's r|, ``lasso`` the absolute
            coefficients of the regressions of the model's latents on the other's, with an L1 penalty.
        least_kl: latents with a KL of at most this, in nats, are left out.
        penalty: of ``lasso``.

    Raises:
        ValueError: there are fewer than two models, the numbers of examples differ, or the KLs do not match the
            latents.
    """
    rows = {len(each) for each in means}
    if len(means) < 2 or len(means) != len(kls) or len(rows) != 1:
        raise ValueError(f"expected two models or more of as many examples each, got {len(means)} of {sorted(rows)}")
    if any(mean.shape[1:] != kl.shape for mean, kl in zip(means, kls, strict=True)):
        raise ValueError("expected a KL for every latent")
    active = [_standardised(mean[:, kl > least_kl]) for mean, kl in zip(means, kls, strict=True)]
    if correlation == "spearman":
        # Rank each model's latents once: |r| of ranks is |Spearman's r|.
        ranked = [_standardised(_ranks(each)) for each in active]
        tables = [[np.abs(a.T @ b) / len(a) for b in ranked] for a in ranked]
    else:
        tables = [[_lasso(a, b, penalty) if a is not b else np.empty((0, 0)) for b in active] for a in active]
    return [
        float(np.median([agreement(table) for j, table in enumerate(row) if j != i])) for i, row in enumerate(tables)
    ]


def agreement(table: Floats) -> float:
    """Return how well latents of two models correspond one-to-one, from R [D, D'] ≥ 0; 0..1 if R is.

    A latent without a correspondence counts as 0. The result is 0 if one of the models has no latents.
    """
    if table.size == 0:
        return 0.0
    # Duan et al. 2020: UDR_ij = 1/(d_a + d_b) (Σ_b max_a R_ab² / Σ_a R_ab + Σ_a max_b R_ab² / Σ_b R_ab).
    shares = [_share(table, axis) for axis in (0, 1)]
    return float(np.concatenate(shares).mean())


def normal_kl(mean: Floats, scale: Floats) -> Floats:
    """Return KL(N(mean, scale²) ‖ N(0, 1)) of every latent, [D], nats, averaged over the examples; from [N, D] each."""
    return np.asarray((mean**2 + scale**2 - 1 - 2 * np.log(scale)).mean(axis=0) / 2)


def _share(table: Floats, axis: int) -> Floats:
    largest, total = table.max(axis=axis), table.sum(axis=axis)
    return np.asarray(np.where(total > 0, largest**2 / np.where(total > 0, total, 1), 0))


def _standardised(code: Floats) -> Floats:
    """Return the code with mean 0 and variance 1 in each column; a constant column becomes 0."""
    constant = np.ptp(code, axis=0) == 0
    return np.asarray((code - code.mean(axis=0)) * ~constant / np.where(constant, 1, code.std(axis=0)))


def _ranks(code: Floats) -> Floats:
    # Imported here because it is slow.
    from scipy.stats import rankdata

    return np.asarray(rankdata(code, axis=0)).reshape(code.shape)


def _lasso(targets: Floats, inputs: Floats, penalty: float) -> Floats:
    """Return |w| of the regression of every target on all inputs, [D, D']."""
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    if targets.shape[1] == 0 or inputs.shape[1] == 0:
        return np.empty((targets.shape[1], inputs.shape[1]))
    with warnings.catch_warnings():
        # Small errors of the coefficients do not change the ranking.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = Lasso(penalty).fit(inputs, targets)
    return np.asarray(np.abs(model.coef_).reshape(targets.shape[1], inputs.shape[1]))
