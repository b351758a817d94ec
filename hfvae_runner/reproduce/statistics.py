"""Intervals over seeds: of a mean, of the probability of improvement, and of a rank correlation.

All intervals are of 95 % and by the percentile bootstrap. Shapes: n values, one a run.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import comb

from hfvae_runner.report import intervals
from hfvae_runner.report.correlations import spearman
from hfvae_runner.report.intervals import CONFIDENCE

_RESAMPLES = 9999
FEWEST_TO_COMPARE = 4
"""Runs on each side for an interval of the probability of improvement. Of three and three, one order in twenty
separates the sides by chance, and every resample of it does."""

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its interval; ``low`` and ``high`` are None where there are too few runs for one."""

    value: float
    low: float | None
    high: float | None


def mean(values: Sequence[float]) -> Estimate:
    """Estimate the mean of n values, at least one."""
    own = np.asarray(values, float)
    if len(own) < intervals.FEWEST:
        return Estimate(float(own.mean()), None, None)
    low, high = intervals.of_means(own[None], _RESAMPLES)[0]
    return Estimate(float(own.mean()), float(low), float(high))


def best_of(values: Sequence[float], k: int) -> float | None:
    """Estimate the largest of k runs, on average; None of fewer than k values.

    It is the mean of the maximum over all choices of k of the n values, which has no bias (Tang et al. 2020, arXiv
    2004.13705). It has no interval: the percentile bootstrap's of 4 of 8 normal values covers the truth in 71 % of
    cases in place of 95 %.
    """
    n = len(values)
    if n < k:
        return None
    # The value of rank i, from 0, is the largest in C(i, k - 1) of the C(n, k) choices.
    return float(np.sort(values) @ comb(np.arange(n), k - 1) / comb(n, k))


def probability_of_improvement(method: Sequence[float], than: Sequence[float]) -> Estimate:
    """Estimate P(X > Y) + P(X = Y)/2 for a run X of ``method`` and a run Y of ``than`` (Agarwal et al. 2021).

    Both are resampled independently of each other. 1/2 is no difference. There is no interval of fewer than four runs
    on either side.
    """

    def statistic(x: Floats, y: Floats, axis: int = -1) -> Floats:
        larger = np.sign(np.expand_dims(x, -1) - np.expand_dims(y, -2))
        return np.asarray((larger.mean(axis=(-2, -1)) + 1) / 2)

    x, y = np.asarray(method, float), np.asarray(than, float)
    value = float(statistic(x, y))
    if min(len(x), len(y)) < FEWEST_TO_COMPARE:
        return Estimate(value, None, None)
    found = stats.bootstrap(
        (x, y), statistic, vectorized=True, n_resamples=_RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(0), batch=1000,
    )  # fmt: skip
    return Estimate(value, float(found.confidence_interval.low), float(found.confidence_interval.high))


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Estimate Spearman's correlation of n pairs, which are resampled as pairs.

    The value is NaN where either number is the same in all runs. Resamples in which that happens are left out of the
    interval.
    """
    pairs = np.column_stack([x, y]).astype(float)
    value = float(spearman(pairs[None])[0])
    if len(pairs) < FEWEST_TO_COMPARE or np.isnan(value):
        return Estimate(value, None, None)
    chosen = np.random.default_rng(0).integers(len(pairs), size=(_RESAMPLES, len(pairs)))
    drawn = spearman(pairs[chosen])
    low, high = np.quantile(drawn[~np.isnan(drawn)], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))


def share_explained(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the share of the variance that the division into groups explains.

    It is 1 less the ratio of two mean squares, within groups and in all (epsilon squared, Kelley 1935). So it is 0 on
    average for a random division, however many groups there are, and may be below 0. None where no group has two
    values, or all values are the same.
    """
    arrays = [np.asarray(group, float) for group in groups]
    every = np.concatenate(arrays) if arrays else np.empty(0)
    left = len(every) - len(arrays)
    if left < 1 or np.ptp(every) == 0:
        return None
    within = sum(float(np.square(group - group.mean()).sum()) for group in arrays)
    return 1 - within / left / float(every.var(ddof=1))


def interval_of_published(value: float, deviation: float | None, runs: int | None) -> Estimate:
    """Estimate a paper's mean from its standard deviation over runs, by Student's t distribution."""
    if deviation is None or runs is None or runs < 2:
        return Estimate(value, None, None)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)) * deviation / runs**0.5
    return Estimate(value, value - half, value + half)
