"""The total correlation of the normal distribution with the aggregate posterior's covariance (Locatello et al. 2019).

Legend: N examples; D continuous factors. Nats. The unsupervised score of Locatello et al. is of one sample a posterior
or of the means; here the posteriors are mixed exactly.
"""

import numpy as np

from hfvae_runner.metrics._subject import NO_SCALE, Floats, Result, Subject, undefined


def aggregate_covariance(mean: Floats, scale: Floats) -> Floats:
    """Return the covariance [D, D] of q(z) = 1/N Σ_n N(mean_n, diag scale_n²), from mean and scale [N, D]."""
    centred = mean - mean.mean(axis=0)
    # The law of total variance: of the means, and the mean of the variances, which are without correlation.
    return np.asarray(centred.T @ centred / len(mean) + np.diag((scale**2).mean(axis=0)))


def normal_total_correlation(covariance: Floats) -> float | None:
    """½ (Σ_d log Σ_dd − log det Σ) of a covariance Σ [D, D], in nats, ≥ 0; None where Σ is singular."""
    deviation = np.sqrt(np.diag(covariance))
    if not deviation.all():
        return None
    # That of the correlations: it is the same, and it has no unit.
    eigenvalues = np.linalg.eigvalsh(covariance / deviation[:, None] / deviation)
    if eigenvalues[0] <= len(eigenvalues) * np.finfo(float).eps:
        return None
    return max(0.0, float(-np.log(eigenvalues).sum() / 2))


def gaussian_total_correlation(subject: Subject) -> Result:
    """`gaussian_total_correlation` of all continuous factors, in nats; 0 for a single one.

    It is that of q(z) only where q(z) is normal: it sees no dependence but the linear one.
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
