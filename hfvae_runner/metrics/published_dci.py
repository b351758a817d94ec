"""Disentanglement, completeness and informativeness as in published tables (Locatello et al. 2019).

Legend: P latent variables; F factors.
"""

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._columns import Columns
from hfvae_runner.metrics._published import NO_FACTOR, Task, mean_over, tasks
from hfvae_runner.metrics._subject import Floats, Result, Subject, undefined
from hfvae_runner.metrics.dci import disentanglement

_KEYS = ("published_dci", "published_dci_accuracy_per_factor")


def boosted(task: Task, code: Columns, seed: int) -> tuple[Floats, float]:
    """Return the importance of every variable, [P], and the accuracy on the test rows, of gradient boosted trees."""
    # Imported here because it takes a second.
    from sklearn.ensemble import GradientBoostingClassifier

    # The library's defaults define the metric: a hundred stages, with a tree of depth 3 for every value.
    model = GradientBoostingClassifier(random_state=seed)
    model.fit(task.code, task.classes)
    accuracy = float(np.mean(model.predict(task.test_code) == task.test_classes))
    return code.sums(np.abs(model.feature_importances_)), accuracy


def published_dci(subject: Subject, *, train_rows: Count, test_rows: Count) -> Result:
    """Return `published_dci`: disentanglement, completeness, and informativeness, the mean accuracy on the test rows.

    Gradient boosted trees classify each factor. R_ij is the importance of variable i for factor j, summed over the
    probabilities of a discrete variable. Disentanglement is the mean of 1 − H_F(R_i·) weighted by the rows' sums, and
    completeness the mean of 1 − H_P(R_·j) weighted by the columns' sums; both are 0 if no variable has any importance.
    In contrast, `dci` uses regressions, and its informativeness is 1 − the normalised error.
    `published_dci_accuracy_per_factor` has the accuracies, null for a factor without two values to fit on.

    Args:
        train_rows: the number of examples to fit on, the first ones.
        test_rows: the number of examples to score on, the next ones; with fewer examples both shrink in proportion.
    """
    code, each = tasks(subject, train_rows, test_rows)
    if not each:
        return undefined(_KEYS, NO_FACTOR)
    generator = subject.generator()
    importance, accuracy = [], {}
    for task in subject.progress(each, "published_dci", len(each)):
        of_variables, accuracy[task.factor] = boosted(task, code, int(generator.integers(2**31)))
        importance.append(of_variables)
    table = np.stack(importance, axis=1)
    mean, accuracies = mean_over(subject, accuracy)
    parts = {
        "disentanglement": concentrated(table) if len(each) > 1 else None,
        "completeness": concentrated(table.T) if len(table) > 1 else None,
        "informativeness": mean,
    }
    why = {"disentanglement": "expected two factors or more", "completeness": "expected two latent variables or more"}
    return {
        "published_dci": parts,
        **{f"published_dci_{part}_why": why[part] for part, value in parts.items() if value is None},
        "published_dci_accuracy_per_factor": accuracies,
    }


def concentrated(importance: Floats) -> float:
    """Return the rows' 1 − H_B, weighted by their share of all importance [A, B], B ≥ 2; 0 if all importance is 0."""
    return disentanglement(importance) or 0.0
