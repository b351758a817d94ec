"""Intervals of means over the seeds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Runs for an interval of a mean; of two, every resample's mean is one of three numbers."""
CONFIDENCE = 0.95


def of_means(values: NDArray[np.floating[Any]], resamples: int) -> NDArray[np.float64]:
    """Return the 95 % percentile bootstrap interval of the mean of each row, [S, n] -> [S, 2].

    Args:
        values: n runs of each of S settings, n at least `FEWEST`.
        resamples: how many means each interval is read from. All rows have the same resamples, by a fixed seed.
    """
    from scipy import stats  # takes half a second

    found = stats.bootstrap(
        (values,), np.mean, axis=-1, n_resamples=resamples, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(0), batch=max(1, _MOST_AT_ONCE // values.size),
    )  # fmt: skip
    return np.stack([found.confidence_interval.low, found.confidence_interval.high], axis=-1)


_MOST_AT_ONCE = 10_000_000
"""Resampled numbers in memory at the same time, which take 80 MB."""
