"""Perplexity of a text model: the number of equally likely words that are equally hard to predict.

Legend: N documents.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Perplexity(NamedTuple):
    """Two averages of the same bound, both 1 or more; lower is better.

    Attributes:
        corpus: exp(−Σ ELBO / Σ words), where every word counts equally (Srivastava & Sutton 2017).
        document_mean: exp(−mean of ELBO / words), where every document counts equally (Miao et al. 2016).
        documents: the number of the N documents that have a word, and therefore count.
    """

    corpus: float
    document_mean: float
    documents: int


def perplexity(elbo: Floats, log_coefficient: Floats, words: Floats) -> Perplexity:
    """Return the upper bound on the perplexity per word that the ELBO gives.

    An empty document is left out. A bound beyond the largest floating-point number is infinite.

    Args:
        elbo: [N], log p(x|z) − KL per document in nats, with every weight 1, whatever the training objective was.
        log_coefficient: [N], the part of ``elbo`` that is log(n!/∏ count!), in nats: the log-number of word orders of
            the bag, which does not belong to the words' probabilities. It is subtracted; 0 for a likelihood without it.
        words: [N], n, each document's number of words.

    Raises:
        ValueError: the arrays differ in size, a value is not finite, or no document has a word.
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
