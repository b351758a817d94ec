"""The FactorVAE score as in published tables (Kim & Mnih 2018; Locatello et al. 2019).

Legend: P latent variables; K factors.
"""

import numpy as np

from hfvae_runner.config.validation import Count, NonNegative
from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import columns
from hfvae_runner.metrics._subject import Integers, Result, Subject, undefined
from hfvae_runner.metrics._votes import all_shared_values
from hfvae_runner.metrics.factor_vae_score import counted_votes

_KEYS = ("published_factor_vae_score", "published_factor_vae_score_train", "published_factor_vae_score_se")


def accuracy(train: Integers, votes: Integers) -> float:
    """Return the share of the test votes [K, P] whose variable is assigned to their factor.

    A variable is assigned to the factor with most of its training votes [K, P]. If factors tie, or there are no votes,
    it is assigned to the first of them.
    """
    return float(np.take_along_axis(votes, train.argmax(axis=0)[None], axis=0).sum() / votes.sum())


def published_factor_vae_score(
    subject: Subject,
    *,
    votes: Count,
    test_votes: Count,
    rows: Count,
    variance_rows: Count,
    least_std: NonNegative,
) -> Result:
    """Return `published_factor_vae_score`, the majority vote's accuracy on test votes, with its binomial error `…_se`.

    It differs from `factor_vae_score` in two ways. A variable counts if the standard deviation of its means is
    `least_std` or more, whatever that of its posteriors (`…_dimensions` is how many do), and the score of a code
    without such variables is 0. `…_train` is the accuracy on the training votes. With fewer than two factors that have
    votes, the score is null.

    Args:
        votes: number of votes to train on.
        test_votes: number of votes to score on.
        rows: number of examples in a vote, which share a value, two or more.
        variance_rows: the most examples for the overall variance that a vote's variances are compared with.
        least_std: the least standard deviation of a variable's means.

    Raises:
        ConfigError: rows is 1.
    """
    if rows < 2:
        raise ConfigError(f"metrics.published_factor_vae_score.rows={rows}: expected 2 or more, for a variance")
    encoded = subject.encoded
    factors = all_shared_values(encoded.truth)
    if len(factors) < 2:
        why = f"expected two factors or more with several values, some of them shared by examples, got {len(factors)}"
        return undefined((*_KEYS, "published_factor_vae_score_dimensions"), why)
    code = columns(encoded)
    spread = code.sums(code.values[:variance_rows].var(axis=0, ddof=1))
    kept = (np.sqrt(spread) >= least_std) & (spread > 0)
    dimensions = {"published_factor_vae_score_dimensions": int(kept.sum())}
    if not kept.any():
        return {**dict.fromkeys(_KEYS, 0.0), **dimensions}
    code, generator = columns(encoded, kept), subject.generator()
    train, test = (
        counted_votes(subject, code, spread[kept], list(factors.values()), count, rows, generator)
        for count in (votes, test_votes)
    )
    score = accuracy(train, test)
    error = float(np.sqrt(score * (1 - score) / test_votes))
    return {**dict(zip(_KEYS, (score, accuracy(train, train), error), strict=True)), **dimensions}
