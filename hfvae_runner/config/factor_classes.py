"""The values of a ground-truth factor as classes, for what counts them: metrics, sampling, holdout.

Legend: N examples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FACTOR_BINS = 10
MOST_VALUES = 50
"""A factor that is not of whole numbers is continuous if it has more distinct values than these."""
_FEWEST_EACH = 2


class Classes(NamedTuple):
    """A factor's classes.

    Attributes:
        values: each example's class, 0 … size − 1, [N], in the order of the factor's values.
        size: how many classes there are; a bin may have no example.
        edges: of the bins, [size + 1]; None where each distinct value is a class.
    """

    values: NDArray[np.int64]
    size: int
    edges: NDArray[np.float64] | None


def classes_of(values: NDArray[np.floating], bins: int) -> Classes:
    """The classes of a factor's values, [N], all finite.

    Each distinct value is a class where all are whole numbers, or where at most ``MOST_VALUES`` occur, each by two
    examples on average. Any other factor is continuous, and is cut into bins of equal width.

    Args:
        bins: how many, from 1 on.
    """
    present, rank = np.unique(values, return_inverse=True)
    repeated = len(present) <= MOST_VALUES and _FEWEST_EACH * len(present) <= len(values)
    if repeated or bool((present == np.floor(present)).all()):
        return Classes(rank.astype(np.int64), len(present), None)
    return Classes(binned(values, bins), bins, np.linspace(present[0], present[-1], bins + 1))


def binned(values: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """The bin of each value, [N], 0 … bins − 1, of equal widths between the extremes; a constant has one bin."""
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), dtype=np.int64)
    # A value on an edge belongs to the bin above it, but for the greatest.
    edges = np.linspace(low, high, bins + 1)[1:-1]
    return np.searchsorted(edges, values, side="right").astype(np.int64)
