"""Separated attribute predictability as the field's tables have it (Kumar et al. 2018; Locatello et al. 2019).

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
    """Linear support vector machines, one value against the rest, classes weighted to equal parts; plain accuracy."""
    # A second to import.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scores, converged = [], 0
    for part in parts:
        # The primal problem is solved by Newton's method, without random numbers; its solution is that of the dual.
        machine = LinearSVC(C=penalty, class_weight="balanced", dual=False)
        with warnings.catch_warnings():
            # It is reported instead.
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(task.code[:, part], task.classes)
        scores.append(float(np.mean(machine.predict(task.test_code[:, part]) == task.test_classes)))
        converged += int(np.max(machine.n_iter_) < machine.max_iter)
    return Predictability(scores, converged)


def published_sap(subject: Subject, *, train_rows: Count, test_rows: Count, penalty: Positive) -> Result:
    """`published_sap`: the mean over all factors of the best variable's accuracy less the second best one's.

    The accuracy on test rows of a linear support vector classifier of the factor's values on that variable alone.
    A line of one number hardly separates a middle value from both its neighbours: a code that copies its factors scores
    far below 1, and `sap` is another number. `published_sap_per_factor` is null for a factor without two values to fit
    on.

    train_rows, test_rows: the first examples fit, the next ones score; of fewer both have their proportion.
    penalty: C of the classifier. `published_sap_note` says how many did not converge.
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
