"""Agreement of a discrete variable's categories, learned without labels, with the classes.

The accuracies are those of `discrete_accuracy`. The normalised mutual information and the adjusted Rand index compare
two partitions, independently of the names and numbers of their parts.
"""

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.metrics._subject import NO_TRAIN, UNKNOWN, Integers, Representation, Result, Subject, Truth, undefined
from hfvae_runner.metrics.discrete_accuracy import assigned_accuracy, majority_vote_accuracy, one_to_one_accuracy

_PARTITIONS = ("normalised_mutual_information", "adjusted_rand_index")
_KEYS = ("discrete_accuracy", "discrete_accuracy_majority", "discrete_accuracy_by_train", *_PARTITIONS)


def clustering(subject: Subject) -> Result:
    """Compare the single discrete variable's most probable category with the label, over the examples that have one.

    - `discrete_accuracy`, `discrete_accuracy_majority`: one-to-one, and with each category's most frequent class;
    - `discrete_accuracy_by_train`: one-to-one by the assignment of the training split;
    - `normalised_mutual_information`: I(c; y) divided by the mean of H(c) and H(y), 0..1;
    - `adjusted_rand_index`: over pairs of examples, with mean 0 for random categories, 1 at best;
    - `supervised_accuracy`, only if a variable was trained with labels: how often its category equals the label.

    Without labels, all are null. With any other number of discrete variables than one, all but the last are null. The
    two partition metrics are null if all examples are of one class.
    """
    encoded = subject.encoded
    keys = [*_KEYS, *(["supervised_accuracy"] if subject.supervised is not None else [])]
    if encoded.label is None:
        return undefined(keys, "the data set has no labels")
    known = encoded.label.values != UNKNOWN
    if not known.any():
        return undefined(keys, "no example has a label")
    return _of_categories(subject, encoded.label, known) | _supervised(subject, encoded.label, known)


def _of_categories(subject: Subject, label: Truth, known: NDArray[np.bool_]) -> dict[str, object]:
    encoded, train = subject.encoded, subject.train
    if len(encoded.discrete) != 1:
        why = f"the prior has {len(encoded.discrete)} discrete variables; the accuracy is that of a single one"
        return undefined(_KEYS, why)
    categories, labels = _most_probable(encoded, known), label.values[known]
    return {
        "discrete_accuracy": one_to_one_accuracy(categories, labels),
        "discrete_accuracy_majority": majority_vote_accuracy(categories, labels),
        **_by_train(categories, labels, train),
        **_partitions(categories, labels),
    }


def _by_train(categories: Integers, labels: Integers, train: Representation | None) -> dict[str, object]:
    if train is None:
        return undefined(["discrete_accuracy_by_train"], NO_TRAIN)
    if train.label is None or not (known := train.label.values != UNKNOWN).any():
        return undefined(["discrete_accuracy_by_train"], "the training split has no labels")
    accuracy = assigned_accuracy(categories, labels, _most_probable(train, known), train.label.values[known])
    return {"discrete_accuracy_by_train": accuracy}


def _partitions(categories: Integers, labels: Integers) -> dict[str, object]:
    if np.ptp(labels) == 0:
        return undefined(_PARTITIONS, "all labelled examples are of one class")
    # Imported here because it takes a second.
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    values = normalized_mutual_info_score(labels, categories), adjusted_rand_score(labels, categories)
    return dict(zip(_PARTITIONS, map(float, values), strict=True))


def _most_probable(encoded: Representation, known: NDArray[np.bool_]) -> Integers:
    (variable,) = encoded.discrete
    return np.asarray(variable.probabilities[known].argmax(axis=1))


def _supervised(subject: Subject, label: Truth, known: NDArray[np.bool_]) -> dict[str, object]:
    """Return the supervised variable's accuracy; empty without supervision."""
    if subject.supervised is None:
        return {}
    (variable,) = (each for each in subject.encoded.discrete if each.name == subject.supervised)
    right = variable.probabilities[known].argmax(axis=1) == label.values[known]
    return {"supervised_accuracy": float(np.mean(right))}
