"""Unsupervised disentanglement ranking: do runs of one setting agree on their latents (Duan et al. 2020)?

The better of several models is the one whose latents the others found again, each in one latent of theirs. No factor
needs to be known. Legend: N examples; D latents of a model, D' of another.
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
    """Return every model's score, 0..1: the median over its partners of how well the two agree.

    Args:
        means: of each model the posterior means of the same examples, [N, D]; two models or more.
        kls: of each model the KL of its latents to the prior, [D], nats per example.
        correlation: what R compares latents by, standardised: ``spearman`` is |Spearman's r|, ``lasso`` the absolute
            coefficients of the regressions of the model's latents on its partner's, with an L1 penalty.
        least_kl: latents with no more than this have no part.
        penalty: of ``lasso``.

    Raises:
        ValueError: fewer than two models, means that are not of as many examples, or other latents than the KLs.
    """
    rows = {len(each) for each in means}
    if len(means) < 2 or len(means) != len(kls) or len(rows) != 1:
        raise ValueError(f"expected two models or more of as many examples each, got {len(means)} of {sorted(rows)}")
    if any(mean.shape[1:] != kl.shape for mean, kl in zip(means, kls, strict=True)):
        raise ValueError("expected a KL for every latent")
    active = [_standardised(mean[:, kl > least_kl]) for mean, kl in zip(means, kls, strict=True)]
    if correlation == "spearman":
        # Ranks, once a model: |r| of ranks is Spearman's.
        ranked = [_standardised(_ranks(each)) for each in active]
        tables = [[np.abs(a.T @ b) / len(a) for b in ranked] for a in ranked]
    else:
        tables = [[_lasso(a, b, penalty) if a is not b else np.empty((0, 0)) for b in active] for a in active]
    return [
        float(np.median([agreement(table) for j, table in enumerate(row) if j != i])) for i, row in enumerate(tables)
    ]


def agreement(table: Floats) -> float:
    """Return how far each latent of either of two models has a single one for it, from R [D, D'] ≥ 0, 0..1 where R is.

    A latent that nothing corresponds to counts as 0, and so do two models of which one has no latent at all.
    """
    if table.size == 0:
        return 0.0
    # Duan et al. 2020: UDR_ij = 1/(d_a + d_b) (Σ_b max_a R_ab² / Σ_a R_ab + Σ_a max_b R_ab² / Σ_b R_ab).
    shares = [_share(table, axis) for axis in (0, 1)]
    return float(np.concatenate(shares).mean())


def normal_kl(mean: Floats, scale: Floats) -> Floats:
    """KL(N(mean, scale²) ‖ N(0, 1)) of every latent, [D], nats, averaged over the examples; from [N, D] each."""
    return np.asarray((mean**2 + scale**2 - 1 - 2 * np.log(scale)).mean(axis=0) / 2)


def _share(table: Floats, axis: int) -> Floats:
    largest, total = table.max(axis=axis), table.sum(axis=axis)
    return np.asarray(np.where(total > 0, largest**2 / np.where(total > 0, total, 1), 0))


def _standardised(code: Floats) -> Floats:
    """Of mean 0 and variance 1; a column that is the same for all is 0."""
    constant = np.ptp(code, axis=0) == 0
    return np.asarray((code - code.mean(axis=0)) * ~constant / np.where(constant, 1, code.std(axis=0)))


def _ranks(code: Floats) -> Floats:
    # It takes a while to import.
    from scipy.stats import rankdata

    return np.asarray(rankdata(code, axis=0)).reshape(code.shape)


def _lasso(targets: Floats, inputs: Floats, penalty: float) -> Floats:
    """|w| of the regression of every target on all inputs, [D, D']."""
    # A second to import.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    if targets.shape[1] == 0 or inputs.shape[1] == 0:
        return np.empty((targets.shape[1], inputs.shape[1]))
    with warnings.catch_warnings():
        # Coefficients that are off by little change no ranking.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = Lasso(penalty).fit(inputs, targets)
    return np.asarray(np.abs(model.coef_).reshape(targets.shape[1], inputs.shape[1]))
