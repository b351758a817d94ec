"""The FactorVAE score: how often the least varying latent variable predicts the fixed factor (Kim & Mnih 2018, Sec. 4).

Legend: N examples; P latent variables; K factors; V votes of L rows each.
"""

from collections.abc import Sequence

import numpy as np

from hfvae_runner.config.validation import Count, NonNegative
from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import Columns, columns, varying
from hfvae_runner.metrics._subject import Floats, Integers, Result, Subject, undefined
from hfvae_runner.metrics._votes import SharedValues, all_shared_values, batches

_KEYS = ("factor_vae_score", "factor_vae_score_train", "factor_vae_score_se", "factor_vae_score_votes")
_AT_ONCE = 4_000_000
"""Numbers in the votes that are counted at once, 32 MB."""


def least_varying(code: Columns, spread: Floats, rows: Integers) -> Integers:
    """Return each vote, [V]: the variable whose variance over the vote's rows is the smallest share of its spread.

    Of equal shares the first counts. A discrete variable's variance is the sum over its columns; if all its
    probabilities are 0 or 1, this is the probability that two rows differ.

    Args:
        code: of all rows.
        spread: [P], each variable's variance over the data.
        rows: [V, L], the rows of each vote.
    """
    drawn = code.values[rows]
    # So a column that is constant over the rows has a variance of exactly 0.
    drawn -= drawn[:, :1].copy()
    # Kim & Mnih, Sec. 4: argmin_d Var(z_d / s_d), s_d the standard deviation over the data.
    variance = np.einsum("vlm,vlm->vm", drawn, drawn) / rows.shape[1] - drawn.mean(axis=1) ** 2
    return np.asarray(np.argmin(code.sums(np.maximum(variance, 0)) / spread, axis=1))


def majority_accuracy(train: Integers, votes: Integers) -> float:
    """Return the share of the test votes [K, P], 0..1, whose variable is assigned to their factor.

    A variable is assigned to the factor with most of its training votes [K, P]; of ties, to the first. A variable
    without training votes is assigned to none, so its test votes are wrong.
    """
    factor = train.argmax(axis=0)
    right = np.take_along_axis(votes, factor[None], axis=0)[0]
    return float(right[train.any(axis=0)].sum() / votes.sum())


def factor_vae_score(
    subject: Subject, *, votes: Count, test_votes: Count, rows: Count, least_std: NonNegative
) -> Result:
    """Return `factor_vae_score`, the accuracy of the majority vote on test votes, 0..1; about 1/K for a code of noise.

    For a vote, a factor is drawn uniformly, then a value of it by its frequency, then L rows of that value with
    replacement. The vote is the latent variable whose posterior means vary least over them, relative to their variance
    over the data.

    `…_se` is the accuracy's binomial standard error, `…_train` the accuracy on the training votes, which is optimistic,
    and `…_votes` the number of training votes of each factor for each variable.

    All factors count, including nuisance factors, as in the paper. Rows where a factor is unknown, and values of a
    single row, are not drawn in its votes. A factor without two values has no votes. With fewer than two factors that
    have votes, the score is null. Variables that do not vary with the examples get no votes either
    (`_columns.varying`). `…_dimensions` is the number of variables left; if there is none, the score is null.

    Args:
        votes: number of votes to train on.
        test_votes: number of votes to score on.
        rows: number of rows in a vote, L, two or more.
        least_std: the least ratio of a kept variable's standard deviation between examples to its total one.

    Raises:
        ConfigError: rows is 1.
    """
    if rows < 2:
        raise ConfigError(f"metrics.factor_vae_score.rows={rows}: expected 2 or more, since their variance is compared")
    encoded = subject.encoded
    kept = varying(encoded, least_std)
    dimensions = {"factor_vae_score_dimensions": int(kept.sum())}
    factors = all_shared_values(encoded.truth)
    if len(factors) < 2:
        why = f"expected two factors or more with several values, some of them shared by examples, got {len(factors)}"
        return undefined(_KEYS, why) | dimensions
    if not kept.any():
        return undefined(_KEYS, "no latent variable varies with the examples") | dimensions
    code = columns(encoded, kept)
    spread = code.sums(code.values.var(axis=0))
    generator = subject.generator()
    train = counted_votes(subject, code, spread, list(factors.values()), votes, rows, generator)
    test = counted_votes(subject, code, spread, list(factors.values()), test_votes, rows, generator)
    accuracy = majority_accuracy(train, test)
    variables = [name for name, keep in zip(encoded.variables, kept, strict=True) if keep]
    return {
        "factor_vae_score": accuracy,
        "factor_vae_score_train": majority_accuracy(train, train),
        "factor_vae_score_se": float(np.sqrt(accuracy * (1 - accuracy) / test_votes)),
        "factor_vae_score_votes": {
            name: {variable: count for variable, count in zip(variables, counts, strict=True) if count}
            for name, counts in zip(factors, train.tolist(), strict=True)
        },
        **dimensions,
    }


def counted_votes(
    subject: Subject,
    code: Columns,
    spread: Floats,
    factors: Sequence[SharedValues],
    votes: int,
    rows: int,
    generator: np.random.Generator,
) -> Integers:
    """Return the number of votes of each factor for each variable, [K, P]; factors are drawn uniformly.

    ``spread`` is each variable's variance over the data, [P].
    """
    of_factor = np.bincount(generator.integers(len(factors), size=votes), minlength=len(factors))
    at_once = max(1, _AT_ONCE // (rows * code.values.shape[1]))
    sizes = batches(of_factor.tolist(), at_once)
    counts = np.zeros((len(factors), len(spread)), dtype=np.int64)
    for k, size in subject.progress(sizes, "factor_vae_score", len(sizes)):
        drawn = factors[k].sets(size, rows, generator)
        counts[k] += np.bincount(least_varying(code, spread, drawn), minlength=len(spread))
    return counts
