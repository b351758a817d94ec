"""Accuracies of a discrete latent against the enumeration of every assignment."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfvae_runner.metrics.discrete_accuracy import assigned_accuracy, majority_vote_accuracy, one_to_one_accuracy

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=25).map(
    lambda pairs: np.array(pairs).T
)
"""Categories and labels of up to 25 examples: 4 categories, 5 classes."""


@given(PAIRS, st.booleans())
def test_one_to_one_is_the_best_of_all_assignments(pairs, swap):
    categories, labels = pairs[::-1] if swap else pairs
    # Surplus categories get classes that no example has.
    targets = permutations(range(5), 5)
    best = max(np.mean(np.array(target)[categories] == labels) for target in targets)
    assert one_to_one_accuracy(categories, labels) == pytest.approx(best)


@given(PAIRS)
def test_majority_vote_is_the_best_map_from_categories_to_classes(pairs):
    categories, labels = pairs
    correct = sum(max(np.sum(labels[categories == k] == c) for c in range(5)) for k in np.unique(categories))
    assert majority_vote_accuracy(categories, labels) == pytest.approx(correct / len(labels))


@given(PAIRS)
def test_majority_is_never_below_one_to_one(pairs):
    assert majority_vote_accuracy(*pairs) >= one_to_one_accuracy(*pairs)


@given(PAIRS, st.permutations(range(4)))
def test_the_numbering_of_the_categories_does_not_matter(pairs, permutation):
    categories, labels = pairs
    renumbered = np.array(permutation)[categories]
    assert one_to_one_accuracy(renumbered, labels) == one_to_one_accuracy(categories, labels)
    assert majority_vote_accuracy(renumbered, labels) == majority_vote_accuracy(categories, labels)


def test_a_split_class_counts_once_for_the_one_and_twice_for_the_other():
    labels = np.array([0, 0, 0, 0, 1])
    categories = np.array([7, 7, 7, 2, 5])
    assert one_to_one_accuracy(categories, labels) == pytest.approx(0.8)
    assert majority_vote_accuracy(categories, labels) == 1


def test_a_merged_pair_of_classes_names_only_one_of_them():
    labels = np.array([3, 3, 4, 4, 4])
    categories = np.zeros(5, int)
    assert one_to_one_accuracy(categories, labels) == majority_vote_accuracy(categories, labels) == pytest.approx(0.6)


@pytest.mark.parametrize("accuracy", [one_to_one_accuracy, majority_vote_accuracy])
def test_unusable_input_is_refused(accuracy):
    with pytest.raises(ValueError, match="one category and one label"):
        accuracy(np.zeros(0, int), np.zeros(0, int))
    with pytest.raises(ValueError, match="one category and one label"):
        accuracy(np.zeros(1, int), np.zeros(3, int))
    with pytest.raises(ValueError, match="one category and one label"):
        accuracy(np.zeros((2, 2), int), np.zeros((2, 2), int))


def test_others_are_named_by_those_known():
    known_labels = np.array([0, 0, 1, 1, 2])
    known_categories = np.array([5, 5, 3, 3, 4])
    sevens = np.array([2, 2, 2, 2])
    assert assigned_accuracy(np.array([4, 4, 5, 9]), sevens, known_categories, known_labels) == pytest.approx(0.5)
    assert one_to_one_accuracy(np.array([5, 5, 5, 5]), sevens) == 1, "of a single class, any one category would do"
    assert assigned_accuracy(np.array([5, 5, 5, 5]), sevens, known_categories, known_labels) == 0


@given(PAIRS)
def test_a_split_that_names_itself_is_one_to_one(pairs):
    categories, labels = pairs
    expected = one_to_one_accuracy(categories, labels)
    assert assigned_accuracy(categories, labels, categories, labels) == pytest.approx(expected)
    twice = np.tile(categories, 2), np.tile(labels, 2)
    assert assigned_accuracy(categories, labels, *twice) == pytest.approx(expected)
