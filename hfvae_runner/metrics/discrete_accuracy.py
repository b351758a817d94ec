"""Accuracies of a discrete latent variable, learned without labels, as a classifier. Shares of examples, 0..1.

Two of the accuracies first assign a class to each category, by the labels of the same split that is then scored. They
measure how well the categories match the classes, and are slightly optimistic for small splits (chance is above 1/C).
The third takes the assignment from another split. Categories (the argmax of q(c|x)) and labels are any integers. Their
numbers K and C may differ.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]


def one_to_one_accuracy(categories: Integers, labels: Integers) -> float:
    """Return the accuracy under the best assignment of each class to at most one category, and the reverse.

    With K > C the surplus categories count as wrong, with K < C the surplus classes do.

    Args:
        categories, labels: [N].

    Raises:
        ValueError: the shapes differ or are not [N], or there is no example.
    """
    return assigned_accuracy(categories, labels, categories, labels)


def assigned_accuracy(
    categories: Integers, labels: Integers, known_categories: Integers, known_labels: Integers
) -> float:
    """Return the accuracy under the one-to-one assignment that is best for other examples, the known ones.

    It is also defined for examples of a single class, such as a holdout of sevens. Categories that do not occur among
    the known ones, or have no class there, count as wrong.

    Args:
        categories, labels: [N].
        known_categories, known_labels: [M].

    Raises:
        ValueError: the shapes of a pair differ or are not [N], or there is no example.
    """
    _check(categories, labels)
    present_categories, present_classes, counts = _contingency(known_categories, known_labels)
    from scipy.optimize import linear_sum_assignment  # imported here because it is slow, and training does not need it

    rows, columns = linear_sum_assignment(counts, maximize=True)
    named = dict(zip(present_categories[rows].tolist(), present_classes[columns].tolist(), strict=True))
    right = [named.get(category) == label for category, label in zip(categories.tolist(), labels.tolist(), strict=True)]
    return float(np.mean(right))


def majority_vote_accuracy(categories: Integers, labels: Integers) -> float:
    """Return the accuracy if each category predicts its most frequent class; several may predict the same one.

    It is never below `one_to_one_accuracy`, and is 1 for as many categories as examples.

    Args:
        categories, labels: [N].

    Raises:
        ValueError: the shapes differ or are not [N], or there is no example.
    """
    return float(_contingency(categories, labels)[2].max(1).sum() / len(labels))


def _check(categories: Integers, labels: Integers) -> None:
    if np.ndim(labels) != 1 or np.shape(categories) != np.shape(labels) or len(labels) == 0:
        shapes = f"{np.shape(categories)} and {np.shape(labels)}"
        raise ValueError(f"expected one category and one label per example, at least one, got shapes {shapes}")


def _contingency(categories: Integers, labels: Integers) -> tuple[Integers, Integers, NDArray[np.int64]]:
    """Return the categories [K] and classes [C] that occur, and the number of examples of each pair, [K, C]."""
    _check(categories, labels)
    present_categories, category = np.unique(categories, return_inverse=True)
    present_classes, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(present_categories), len(present_classes)), dtype=np.int64)
    np.add.at(counts, (category, label), 1)
    return present_categories, present_classes, counts
