"""The total correlation of the normal distribution with the aggregate posterior's covariance (Locatello et al. 2019).

Legend: N examples; D continuous factors. Nats. Locatello et al. compute their unsupervised score from one sample of
each posterior, or from the means. Here the covariance of the mixture of posteriors is exact.
"""

import numpy as np

from hfvae_runner.metrics._subject import NO_SCALE, Floats, Result, Subject, undefined


def aggregate_covariance(mean: Floats, scale: Floats) -> Floats:
    """Return the covariance [D, D] of q(z) = 1/N Σ_n N(mean_n, diag scale_n²), from mean and scale [N, D]."""
    centred = mean - mean.mean(axis=0)
    # Law of total variance: the covariance of the means plus the mean of the posteriors' diagonal covariances.
    return np.asarray(centred.T @ centred / len(mean) + np.diag((scale**2).mean(axis=0)))


def normal_total_correlation(covariance: Floats) -> float | None:
    """Return ½ (Σ_d log Σ_dd − log det Σ) of a covariance Σ [D, D], in nats, ≥ 0; None if Σ is singular."""
    deviation = np.sqrt(np.diag(covariance))
    if not deviation.all():
        return None
    # The correlation matrix has the same total correlation, and no unit.
    eigenvalues = np.linalg.eigvalsh(covariance / deviation[:, None] / deviation)
    if eigenvalues[0] <= len(eigenvalues) * np.finfo(float).eps:
        return None
    return max(0.0, float(-np.log(eigenvalues).sum() / 2))


def gaussian_total_correlation(subject: Subject) -> Result:
    """Return `gaussian_total_correlation`, of all continuous factors together, in nats; 0 for a single factor.

    It equals the total correlation of q(z) only if q(z) is normal, because it measures linear dependence only.
    """
    encoded, key = subject.encoded, "gaussian_total_correlation"
    if not encoded.names:
        return undefined([key], "the prior has no continuous factors")
    if encoded.scale is None:
        return undefined([key], NO_SCALE)
    value = normal_total_correlation(aggregate_covariance(encoded.mean, encoded.scale))
    if value is None:
        return undefined([key], "the covariance of the aggregate posterior is singular")
    return {key: value}
