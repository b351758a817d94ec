"""The BetaVAE score: the accuracy of a linear classifier that names the factor that pairs share (Higgins et al. 2017).

Legend: N examples; M columns of the code; K factors; V votes of L pairs each. β-TCVAE Sec. 2.2 describes the score.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._columns import columns
from hfvae_runner.metrics._subject import Floats, Integers, Result, Subject, undefined
from hfvae_runner.metrics._votes import SharedValues, all_shared_values, batches

_KEYS = ("beta_vae_score", "beta_vae_score_train", "beta_vae_score_se")
_AT_ONCE = 2_000_000
"""Numbers of either member of the pairs that are compared at once, 16 MB."""
_ITERATIONS = 1000
"""Most iterations of the regression."""


def mean_difference(values: Floats, first: Integers, second: Integers) -> Floats:
    """Return z_diff of each vote, [V, M]: the mean distance of its pairs in each column of ``values`` [N, M].

    ``first`` and ``second`` are the pairs' rows, [V, L] each.
    """
    # Higgins et al., Sec. 3 (β-TCVAE, Sec. 2.2): 1/L Σ_l |z(1)_l − z(2)_l|.
    difference = values[first]
    difference -= values[second]
    return np.asarray(np.abs(difference, out=difference).mean(axis=1))


def beta_vae_score(subject: Subject, *, votes: Count, test_votes: Count, pairs: Count) -> Result:
    """Return `beta_vae_score`, the linear classifier's accuracy on test votes, 0..1; about 1/K for a code of noise.

    For a vote, a factor is drawn uniformly, then L pairs of rows whose second row has the first's value of that factor.
    A logistic regression predicts the factor from the mean distance of the pairs' posterior means in each column of the
    code. Distances are standardised by the training votes, so that a variable's unit does not matter. A discrete
    variable has a column for each of its categories.

    `…_se` is the accuracy's binomial standard error and `…_train` the accuracy on the training votes. `…_note` reports
    that the regression did not converge.

    All factors count, including nuisance factors, and all variables, including collapsed ones: a code of collapsed
    variables only scores as noise. Rows where a factor is unknown, and values of a single row, are not drawn in its
    votes. A factor without two values has no votes. With fewer than two factors that have votes, the score is null.

    Args:
        votes: number of votes to train on.
        test_votes: number of votes to score on.
        pairs: number of pairs in a vote, L.
    """
    factors = all_shared_values(subject.encoded.truth)
    if len(factors) < 2:
        why = f"expected two factors or more with several values, some of them shared by examples, got {len(factors)}"
        return undefined(_KEYS, why)
    values = columns(subject.encoded).values
    generator = subject.generator()
    train, label = votes_of(subject, values, list(factors.values()), votes, pairs, generator)
    test, test_label = votes_of(subject, values, list(factors.values()), test_votes, pairs, generator)
    train_right, right, converged = _linear_accuracy(train, label, test, test_label)
    result: dict[str, object] = {
        "beta_vae_score": right,
        "beta_vae_score_train": train_right,
        "beta_vae_score_se": float(np.sqrt(right * (1 - right) / test_votes)),
    }
    if not converged:
        result["beta_vae_score_note"] = f"the logistic regression did not converge in {_ITERATIONS} iterations"
    return result


def votes_of(
    subject: Subject,
    values: Floats,
    factors: Sequence[SharedValues],
    votes: int,
    pairs: int,
    generator: np.random.Generator,
) -> tuple[Floats, Integers]:
    """Return z_diff of the votes, [V, M], and each vote's factor, [V]; factors are drawn uniformly."""
    label = np.sort(generator.integers(len(factors), size=votes))
    at_once = max(1, _AT_ONCE // (pairs * values.shape[1]))
    sizes = batches(np.bincount(label, minlength=len(factors)).tolist(), at_once)
    differences = [
        mean_difference(values, *factors[k].pairs(size, pairs, generator))
        for k, size in subject.progress(sizes, "beta_vae_score", len(sizes))
    ]
    return np.concatenate(differences), label


def _linear_accuracy(train: Floats, label: Integers, test: Floats, test_label: Integers) -> tuple[float, float, bool]:
    """Return the accuracies on the training and the test votes, and whether the regression converged."""
    if np.ptp(label) == 0:
        # All training votes are of one factor, so the classifier always predicts that factor.
        return 1.0, float(np.mean(test_label == label[0])), True
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[np.ptp(train, axis=0) == 0] = 1
    train, test = (train - mean) / deviation, (test - mean) / deviation
    regression = LogisticRegression(max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        # The result reports it instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(train, label)
    converged = bool(regression.n_iter_.max() < _ITERATIONS)
    return float(regression.score(train, label)), float(regression.score(test, test_label)), converged
