"""Separated attribute predictability as in published tables (Kumar et al. 2018; Locatello et al. 2019).

Legend: P latent variables.
"""

import warnings
from typing import NamedTuple

import numpy as np

from hfvae_runner.config.validation import Count, Positive
from hfvae_runner.metrics._published import NO_FACTOR, Task, mean_over, tasks
from hfvae_runner.metrics._subject import Result, Subject, undefined

_KEYS = ("published_sap", "published_sap_per_factor")


class Predictability(NamedTuple):
    """The accuracy on the test rows from each variable alone, [P], and how many of the P classifiers converged."""

    scores: list[float]
    converged: int


def predictability(task: Task, parts: list[slice], penalty: float) -> Predictability:
    """Fit a linear support vector machine on each variable alone, and return the plain accuracies on the test rows.

    Each value is classified against the rest, with balanced class weights.
    """
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scores, converged = [], 0
    for part in parts:
        # Newton's method solves the primal problem without random numbers. The dual problem has the same solution.
        machine = LinearSVC(C=penalty, class_weight="balanced", dual=False)
        with warnings.catch_warnings():
            # The result reports it instead.
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(task.code[:, part], task.classes)
        scores.append(float(np.mean(machine.predict(task.test_code[:, part]) == task.test_classes)))
        converged += int(np.max(machine.n_iter_) < machine.max_iter)
    return Predictability(scores, converged)


def published_sap(subject: Subject, *, train_rows: Count, test_rows: Count, penalty: Positive) -> Result:
    """Return `published_sap`, the mean over all factors of the best variable's accuracy minus the second best one's.

    The accuracy is that on test rows of a linear support vector classifier of the factor's values from one variable
    alone. A linear classifier on one number hardly separates a middle value from both its neighbours. So a code that
    copies its factors scores far below 1, and the score is not comparable with `sap`. `published_sap_per_factor` is
    null for a factor without two values to fit on.

    Args:
        train_rows: the number of examples to fit on, the first ones.
        test_rows: the number of examples to score on, the next ones; with fewer examples both shrink in proportion.
        penalty: C of the classifier; `published_sap_note` reports how many did not converge.
    """
    if len(subject.encoded.variables) < 2:
        return undefined(_KEYS, "a gap needs two latent variables or more, there is 1")
    code, each = tasks(subject, train_rows, test_rows)
    if not each:
        return undefined(_KEYS, NO_FACTOR)
    found, unfinished = {}, 0
    for task in subject.progress(each, "published_sap", len(each)):
        scores, converged = predictability(task, code.parts(), penalty)
        second, best = sorted(scores)[-2:]
        found[task.factor] = best - second
        unfinished += len(scores) - converged
    result: dict[str, object] = dict(zip(_KEYS, mean_over(subject, found), strict=True))
    if unfinished:
        result["published_sap_note"] = f"{unfinished} of {len(each) * len(code.starts)} classifiers did not converge"
    return result
