"""Topic coherence: how often a topic's words occur in the same documents (Bouma 2009; Lau et al. 2014).

Legend: N documents, V words, T topics, W words a topic.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def topic_coherence(topics: Integers, counts: csr_matrix | NDArray[Any]) -> NDArray[np.float64]:
    """Return each topic's mean normalised pointwise mutual information over all pairs of its words, [T], −1..1.

    NPMI(v, w) = log[p(v, w) / (p(v) p(w))] / −log p(v, w), where p is the share of the documents that contain the word,
    or both, at least once. It is 1 for words that occur only together, 0 for independent ones, and −1 for a pair that
    occurs in no document. A pair that occurs in every document has 1, its limit.

    Args:
        topics: [T, W], the indices of each topic's most frequent words, usually W = 10: see `topics.top_words`.
        counts: [N, V], the number of times that each word occurs in each document of the training corpus, sparse or
            dense.

    Raises:
        ValueError: a topic has fewer than two words, or a word twice, or a word that is not in 0..V−1, or there is no
            document.
    """
    topics = np.asarray(topics)
    if topics.ndim != 2 or topics.shape[1] < 2:
        raise ValueError(f"expected topics [T, W] of at least two words, got shape {topics.shape}")
    if counts.shape[0] == 0:
        raise ValueError("expected at least one document")
    if len(topics) and (topics.min() < 0 or topics.max() >= counts.shape[1]):
        raise ValueError(f"words must lie in 0..{counts.shape[1] - 1}, got {topics.min()}..{topics.max()}")
    if any(len(set(topic)) < len(topic) for topic in topics.tolist()):
        raise ValueError("a topic holds a word twice")
    # Only the topics' own words, because a table of all pairs of a large vocabulary would not fit in memory.
    words, place = np.unique(topics, return_inverse=True)
    holds = (csc_matrix(counts)[:, words] > 0).astype(np.int64)
    together = (holds.T @ holds).toarray() / counts.shape[0]
    scores = _npmi(together)
    first, second = np.triu_indices(topics.shape[1], k=1)
    place = place.reshape(topics.shape)
    return np.asarray(scores[place[:, first], place[:, second]].mean(axis=1))


def _npmi(together: Floats) -> NDArray[np.float64]:
    """Return the NPMI of each pair, [W, W], from the shares of the documents that contain both words, [W, W].

    The diagonal has each word's own share.
    """
    alone = np.diagonal(together)
    scores = np.full(together.shape, -1.0)
    first, second = np.nonzero(together)
    joint = together[first, second]
    information = np.log(joint) - np.log(alone[first]) - np.log(alone[second])
    always = joint == 1
    scores[first, second] = np.where(always, 1.0, information / np.where(always, 1.0, -np.log(joint)))
    return scores
