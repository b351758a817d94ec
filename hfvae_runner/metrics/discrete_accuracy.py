"""How well a discrete latent variable, learned without labels, names the classes. Shares of examples in 0..1.

Both accuracies first give each category a class, by the labels of the same split that is then scored: they say how
well the categories line up with the classes, and are slightly optimistic for small splits (chance is above 1/C).
Categories (the argmax of q(c|x)) and labels are any integers; their numbers K and C may differ.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Integers = NDArray[np.integer[Any]]


def one_to_one_accuracy(categories: Integers, labels: Integers) -> float:
    """Accuracy under the best assignment that gives each class at most one category, and the reverse.

    categories, labels: [N]. With K > C the surplus categories count as wrong, with K < C the surplus classes do.
    """
    counts = _contingency(categories, labels)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))


def majority_vote_accuracy(categories: Integers, labels: Integers) -> float:
    """Accuracy when each category stands for its most frequent class; several may stand for the same one.

    categories, labels: [N]. Never below `one_to_one_accuracy`, and 1 for as many categories as examples.
    """
    return float(_contingency(categories, labels).max(1).sum() / len(labels))


def _contingency(categories: Integers, labels: Integers) -> NDArray[np.int64]:
    """Number of examples [K, C] per category and class, of those that occur."""
    if np.ndim(labels) != 1 or np.shape(categories) != np.shape(labels) or len(labels) == 0:
        shapes = f"{np.shape(categories)} and {np.shape(labels)}"
        raise ValueError(f"expected one category and one label per example, at least one, got shapes {shapes}")
    present_categories, category = np.unique(categories, return_inverse=True)
    present_classes, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(present_categories), len(present_classes)), dtype=np.int64)
    np.add.at(counts, (category, label), 1)
    return counts
