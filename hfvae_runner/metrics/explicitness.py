"""Explicitness: how well a linear classifier predicts each factor from the code (Ridgeway & Mozer 2018, section 3).

Legend: N examples; C columns of the code: the posterior means, and the K probabilities of each discrete variable.
"""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._columns import columns, split_rows
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Result, Subject, undefined

_KEYS = ("explicitness", "explicitness_rescaled", "explicitness_per_factor")


class ValueScore(NamedTuple):
    """The score of a classifier of one value of a factor against the others.

    Attributes:
        auc: the area under the ROC curve, 0..1, 0.5 by chance.
        converged: whether the regression converged within its iterations.
    """

    auc: float
    converged: bool


def value_score(
    train: Floats, is_train: NDArray[np.bool_], test: Floats, is_test: NDArray[np.bool_], *, iterations: int
) -> ValueScore | None:
    """Fit a logistic regression of "the factor has this value" on the code, and return its ROC AUC on other rows.

    Return None if the value, or every other value, is missing among the training rows or among the test rows. A code
    without columns has the AUC of chance.

    Args:
        train, test: codes [N, C] each, from `standardised`.
        is_train, is_test: [N] each, whether the factor has the value.
        iterations: the most iterations of the regression.
    """
    if any(part.all() or not part.any() for part in (is_train, is_test)):
        return None
    if train.shape[1] == 0:
        return ValueScore(0.5, True)
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    # Newton's method needs few steps and no random numbers.
    regression = LogisticRegression(solver="newton-cholesky", max_iter=iterations)
    with warnings.catch_warnings():
        # The result reports it instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(train, is_train)
    auc = roc_auc_score(is_test, regression.decision_function(test))
    return ValueScore(float(auc), bool(regression.n_iter_[0] < iterations))


def standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Return both codes, [N, C], standardised by the training rows, without the columns that are constant in these."""
    # Scale by the largest difference first, because the squares of tiny differences underflow.
    origin = train[0]
    size = np.abs(train - origin).max(axis=0)
    varied = size > 0
    train, test = (((part - origin)[:, varied]) / size[varied] for part in (train, test))
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / deviation, (test - mean) / deviation


def explicitness(subject: Subject, *, train_rows: Count, test_rows: Count, iterations: Count) -> Result:
    """Return `explicitness`, the mean over factors of the mean AUC over their values, and `explicitness_rescaled`.

    `explicitness_rescaled` is 2·AUC − 1. The AUC is 0.5 by chance and 1 at best, so the rescaled one is 0 and 1.
    `explicitness_per_factor` has AUCs. Values of a factor that are missing among the training rows or the test rows are
    omitted, and so are rows where the factor is unknown. A factor with fewer than two values left is null.

    A factor that is copied into one dimension is not explicit, because no linear classifier separates a middle value
    from both its neighbours. A code with separate dimensions for the values is explicit.

    Args:
        train_rows: the number of examples to fit on, the first ones.
        test_rows: the number of examples to score on, the next ones; with fewer examples both shrink in proportion.
        iterations: the most iterations of each regression; `explicitness_note` reports how many regressions needed
            more.
    """
    encoded = subject.encoded
    if not encoded.truth:
        return undefined(_KEYS, "nothing is known of the examples")
    fitted, scored = split_rows(len(encoded), train_rows, test_rows)
    if not 0 < fitted.stop < scored.stop:
        return undefined(_KEYS, f"examples to fit on and others to score are needed, there are {len(encoded)}")
    code = columns(encoded).values
    train, test = standardised(code[fitted], code[scored])
    aucs: dict[str, list[float]] = {factor.name: [] for factor in encoded.truth}
    pairs = [(factor, value) for factor in encoded.truth for value in _occurring(factor.values[: scored.stop])]
    unfinished = 0
    for factor, value in subject.progress(pairs, "explicitness", len(pairs)):
        of_train, of_test = factor.values[fitted], factor.values[scored]
        in_train, in_test = of_train != UNKNOWN, of_test != UNKNOWN
        score = value_score(
            train[in_train],
            of_train[in_train] == value,
            test[in_test],
            of_test[in_test] == value,
            iterations=iterations,
        )
        if score is not None:
            aucs[factor.name].append(score.auc)
            unfinished += not score.converged
    per_factor = {name: float(np.mean(each)) if each else None for name, each in aucs.items()}
    result = _summary(per_factor, {factor.name for factor in encoded.truth if factor.nuisance})
    if unfinished:
        every = sum(map(len, aucs.values()))
        result["explicitness_note"] = f"{unfinished} of {every} regressions did not converge in {iterations} iterations"
    return result


def _summary(per_factor: dict[str, float | None], nuisance: set[str]) -> dict[str, object]:
    counted = [auc for name, auc in per_factor.items() if auc is not None and name not in nuisance]
    if not counted:
        why = "no factor but those of nuisance has two values, each among the training rows and the test rows"
        return undefined(_KEYS[:2], why) | {"explicitness_per_factor": per_factor}
    mean = float(np.mean(counted))
    return {"explicitness": mean, "explicitness_rescaled": 2 * mean - 1, "explicitness_per_factor": per_factor}


def _occurring(values: Integers) -> list[int]:
    present: list[int] = np.unique(values[values != UNKNOWN]).tolist()
    return present
