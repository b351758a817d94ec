"""Words of a text model's topics, and correlations between topics (HFVAE, Fig. 6).

Legend: T topics, V words, N documents, G groups of topics.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def top_words(weights: Floats, count: int = 10) -> NDArray[np.int64]:
    """Return the indices of the words that each topic makes most likely, most likely first, [T, count].

    Ties are in the vocabulary's order. A topic of a linear decoder has a second side, the words that it makes less
    likely when its activation is large (HFVAE, D.2): they are the top words of ``-weights``.

    Args:
        weights: [T, V], of each word in each topic: logits or probabilities.
        count: the number of words for each topic.

    Raises:
        ValueError: a weight is not finite, or V is less than ``count``.
    """
    if weights.ndim != 2 or weights.shape[1] < count:
        raise ValueError(f"expected weights [T, V] of at least {count} words, got shape {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("some weights are not finite")
    return np.argsort(-weights.astype(np.float64), axis=1, kind="stable")[:, :count].astype(np.int64)


def activation_correlation(means: Floats) -> NDArray[np.float64]:
    """Return Pearson's correlation between the activations of each pair of topics over the documents, [T, T].

    The row and column of a topic with the same activation in every document are NaN.

    Args:
        means: [N, T], the mean of q(z|x) for each document, before any softmax. After a softmax, shares compete, so
            that even independent activations correlate.

    Raises:
        ValueError: there are fewer than two documents, or a mean is not finite.
    """
    if means.ndim != 2 or len(means) < 2:
        raise ValueError(f"expected means [N, T] of at least two documents, got shape {means.shape}")
    if not np.isfinite(means).all():
        raise ValueError("some means are not finite")
    z = means.astype(np.float64)
    # In floating point the deviations of equal values may differ from 0, but their range is exactly 0.
    varies = np.ptp(z, axis=0) > 0
    z = z[:, varies] - z[:, varies].mean(axis=0)
    # Divide by the largest value, because the squares of tiny values underflow.
    z /= np.abs(z).max(axis=0, initial=0)
    z /= np.sqrt((z**2).sum(axis=0))
    correlation = np.full((means.shape[1], means.shape[1]), np.nan)
    correlation[np.ix_(varies, varies)] = np.clip(z.T @ z, -1, 1)
    return correlation


class GroupCorrelation(NamedTuple):
    """The mean |correlation| of two different topics of one group, and of two groups; None without such a pair."""

    within: float | None
    between: float | None


def group_correlation(correlation: Floats, sizes: Sequence[int]) -> GroupCorrelation:
    """Return the mean |correlation| of topics within the groups and between them, 0..1.

    In HFVAE's two groups, topics correlate little within a group and more between the groups. Uncorrelated topics score
    about 0.8/√N, the mean |r| by chance.

    Args:
        correlation: [T, T], see `activation_correlation`; pairs that are NaN are left out.
        sizes: the number of topics in each group, [G], in order.

    Raises:
        ValueError: the sizes do not add up to T.
    """
    if correlation.shape != (sum(sizes), sum(sizes)):
        raise ValueError(f"groups of {list(sizes)} topics do not fit a matrix of shape {correlation.shape}")
    group = np.repeat(np.arange(len(sizes)), sizes)
    first, second = np.triu_indices(len(correlation), k=1)
    strength = np.abs(correlation[first, second])
    same, known = group[first] == group[second], np.isfinite(strength)
    within, between = strength[same & known], strength[~same & known]
    return GroupCorrelation(
        float(within.mean()) if len(within) else None, float(between.mean()) if len(between) else None
    )


def most_correlated(correlation: Floats, count: int) -> list[int]:
    """Return the topics of the most strongly correlated pairs, at most ``count``, in descending order of correlation.

    ``correlation`` is [T, T], see `activation_correlation`. HFVAE's Fig. 6 shows the three most correlated topics.
    """
    first, second = np.triu_indices(len(correlation), k=1)
    strength = np.nan_to_num(np.abs(correlation[first, second]), nan=-1.0)
    pairs = np.argsort(-strength, kind="stable")
    turning_up = dict.fromkeys(
        int(topic) for pair in pairs if strength[pair] >= 0 for topic in (first[pair], second[pair])
    )
    return list(turning_up)[:count]
