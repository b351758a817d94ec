"""Perplexity of a text model: the number of equally likely words that are as hard to predict.

Legend: N documents.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Perplexity(NamedTuple):
    """Two averages of the same bound, both from 1 on; lower is better.

    Attributes:
        corpus: exp(−Σ ELBO / Σ words), where every word counts the same (Srivastava & Sutton 2017).
        document_mean: exp(−mean of ELBO / words), where every document does (Miao et al. 2016).
        documents: how many of the N documents have a word and so are counted.
    """

    corpus: float
    document_mean: float
    documents: int


def perplexity(elbo: Floats, log_coefficient: Floats, words: Floats) -> Perplexity:
    """Return the upper bound of the perplexity per word that the ELBO gives. An empty document is left out.

    elbo: [N], log p(x|z) − KL per document in nats, with every weight 1 whatever the model was trained with.
    log_coefficient: [N], the part of ``elbo`` that is log(n!/∏ count!), in nats: in how many orders the words of the
    bag can stand, which no word's own probability knows. It is taken off; 0 for a likelihood without it.
    words: [N], n, each document's number of words.
    A bound beyond the largest floating-point number is infinite.
    Raises ValueError for arrays of different sizes, values that are not finite, or no document with a word.
    """
    elbo, log_coefficient, words = (np.asarray(each, dtype=np.float64) for each in (elbo, log_coefficient, words))
    if elbo.ndim != 1 or not elbo.shape == log_coefficient.shape == words.shape:
        shapes = f"{elbo.shape}, {log_coefficient.shape}, {words.shape}"
        raise ValueError(f"expected three arrays [N] of one size, got shapes {shapes}")
    if not all(np.isfinite(each).all() for each in (elbo, log_coefficient, words)):
        raise ValueError("some values are not finite")
    filled = words > 0
    if not filled.any():
        raise ValueError("expected at least one document with a word")
    loss, lengths = (log_coefficient - elbo)[filled], words[filled]
    with np.errstate(over="ignore"):
        corpus, document_mean = np.exp(loss.sum() / lengths.sum()), np.exp((loss / lengths).mean())
    return Perplexity(float(corpus), float(document_mean), int(filled.sum()))
