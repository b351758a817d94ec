"""Clustering by the discrete variable: partitions worked out by hand, and where the measures do not exist."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subjects import represented, subject

from hfvae_runner.metrics._subject import Integers, Representation, Truth
from hfvae_runner.metrics.clustering import clustering

ACCURACIES = ("discrete_accuracy", "discrete_accuracy_majority", "discrete_accuracy_by_train")
PARTITIONS = ("normalised_mutual_information", "adjusted_rand_index")


def clustered(categories: Sequence[int] | Integers, labels: Sequence[int] | Integers, k: int = 5) -> Representation:
    """Examples whose most probable category is this one."""
    probabilities = (np.eye(k)[np.asarray(categories)] + 0.5 / k) / 1.5
    return represented(np.zeros((len(categories), 1)), discrete={"class": probabilities}, label=labels)


def relabelled(encoded: Representation, values: Integers) -> Representation:
    return replace(encoded, label=Truth("label", values, 5))


def measured(
    encoded: Representation, train: Representation | None = None, supervised: str | None = None
) -> dict[str, Any]:
    result = clustering(replace(subject(encoded, train=train), supervised=supervised))
    json.dumps(result, allow_nan=False)
    return dict(result)


def entropy(*events: list[int]) -> float:
    shares = np.array(list(Counter(zip(*events, strict=True)).values())) / len(events[0])
    return float(-(shares * np.log(shares)).sum())


def by_definition(categories: list[int], labels: list[int]) -> tuple[float, float]:
    """NMI by entropies, ARI by counting pairs."""
    h_c, h_y = entropy(categories), entropy(labels)
    nmi = (h_c + h_y - entropy(categories, labels)) / ((h_c + h_y) / 2)
    pairs = list(combinations(zip(categories, labels, strict=True), 2))
    both = sum(a[0] == b[0] and a[1] == b[1] for a, b in pairs)
    same_category, same_label = (sum(a[i] == b[i] for a, b in pairs) for i in (0, 1))
    expected = same_category * same_label / len(pairs)
    most = (same_category + same_label) / 2
    return nmi, 1.0 if most == expected else (both - expected) / (most - expected)


def test_an_example_by_hand() -> None:
    labels = [0, 0, 0, 0, 1, 1, 2, 2]
    categories = [3, 3, 3, 1, 1, 1, 1, 0]
    result = measured(clustered(categories, labels))
    # 3 is class 0, 1 is class 1, 0 is class 2; by majority the same.
    assert [result[key] for key in ACCURACIES] == [6 / 8, 6 / 8, 6 / 8]
    assert result["normalised_mutual_information"] == pytest.approx(by_definition(categories, labels)[0])
    # Pairs in one category 3 + 6, of one class 6 + 1 + 1, of both 3 + 1, of 28.
    assert result["adjusted_rand_index"] == pytest.approx((4 - 9 * 8 / 28) / ((9 + 8) / 2 - 9 * 8 / 28))
    assert "supervised_accuracy" not in result


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25))
def test_partitions_agree_with_entropies_and_pairs(seed: int, examples: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.append(generator.integers(0, 3, examples - 2), [0, 1])
    categories = generator.integers(0, 5, examples)
    result = measured(clustered(categories, labels))
    nmi, ari = by_definition(categories.tolist(), labels.tolist())
    assert result["normalised_mutual_information"] == pytest.approx(nmi, abs=1e-12)
    assert result["adjusted_rand_index"] == pytest.approx(ari, abs=1e-12)


def test_the_names_of_the_categories_do_not_matter_and_a_perfect_match_is_1() -> None:
    labels = np.arange(30) % 5
    result = measured(clustered(4 - labels, labels))
    assert result == dict.fromkeys((*ACCURACIES, *PARTITIONS), pytest.approx(1))


def test_random_categories_have_neither_information_nor_agreeing_pairs() -> None:
    generator = np.random.default_rng(0)
    result = measured(clustered(generator.integers(0, 5, 20_000), generator.integers(0, 5, 20_000)))
    for key in PARTITIONS:
        assert result[key] == pytest.approx(0, abs=2e-3)
    one = measured(clustered(np.zeros(100, int), np.arange(100) % 5))
    assert [one[key] for key in PARTITIONS] == [0, 0]


def test_the_training_split_may_name_the_categories() -> None:
    train = clustered([0, 0, 1, 1], [1, 1, 0, 0])
    result = measured(clustered([0, 0, 1], [1, 0, 0]), train=train)
    assert result["discrete_accuracy_by_train"] == pytest.approx(2 / 3)
    assert measured(clustered([1, 1, 0], [1, 1, 0]), train=train)["discrete_accuracy_by_train"] == 0
    unlabelled = represented(np.zeros((4, 1)), discrete={"class": np.eye(5)[[0, 0, 1, 1]]})
    unknown = relabelled(train, np.full(4, -1))
    for other in (unlabelled, unknown):
        result = measured(clustered([0, 0, 1], [1, 0, 0]), train=other)
        assert result["discrete_accuracy_by_train"] is None
        assert result["discrete_accuracy_by_train_why"] == "the training split has no labels"
        assert result["discrete_accuracy"] is not None


def test_examples_without_a_label_are_left_out() -> None:
    labels = np.array([0, 0, 1, 1, -1, -1])
    encoded = clustered([2, 2, 3, 3, 2, 3], np.maximum(labels, 0))
    encoded = relabelled(encoded, labels)
    assert measured(encoded, supervised="class") == {
        **dict.fromkeys((*ACCURACIES, *PARTITIONS), pytest.approx(1)),
        "supervised_accuracy": 0,
    }


def test_supervised_categories_are_the_labels_themselves() -> None:
    labels = [0, 1, 2, 3]
    assert measured(clustered([0, 1, 2, 0], labels), supervised="class")["supervised_accuracy"] == 3 / 4
    swapped = measured(clustered([1, 0, 3, 2], labels), supervised="class")
    assert (swapped["supervised_accuracy"], swapped["discrete_accuracy"]) == (0, 1)
    # With another discrete variable there is still the one that was trained.
    two = replace(clustered([0, 1, 2, 0], labels), discrete=2 * clustered([0, 1, 2, 0], labels).discrete)
    two = replace(two, discrete=(replace(two.discrete[0], name="other"), two.discrete[1]))
    result = measured(two, supervised="class")
    assert result["supervised_accuracy"] == 3 / 4
    assert result["discrete_accuracy"] is None


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (represented(np.zeros((3, 1)), discrete={"class": np.eye(3)}), "the data set has no labels"),
        (
            represented(np.zeros((3, 1)), label=[0, 1, 2]),
            "the prior has 0 discrete variables; the accuracy is that of a single one",
        ),
        (
            represented(np.zeros((3, 1)), discrete={"a": np.eye(3), "b": np.eye(3)}, label=[0, 1, 2]),
            "the prior has 2 discrete variables; the accuracy is that of a single one",
        ),
    ],
)
def test_where_nothing_is_defined_it_says_why(encoded: Representation, why: str) -> None:
    result = measured(encoded)
    for key in (*ACCURACIES, *PARTITIONS):
        assert result[key] is None
        assert result[f"{key}_why"] == why
    assert "supervised_accuracy" not in result


def test_without_any_known_label_supervision_has_no_accuracy_either() -> None:
    encoded = relabelled(clustered([0, 1], [0, 1]), np.full(2, -1))
    result = measured(encoded, supervised="class")
    assert result["supervised_accuracy"] is None
    assert result["supervised_accuracy_why"] == result["discrete_accuracy_why"] == "no example has a label"


def test_a_single_class_has_accuracies_and_no_partition() -> None:
    result = measured(clustered([0, 0, 1], [4, 4, 4]))
    assert result["discrete_accuracy"] == pytest.approx(2 / 3)
    for key in PARTITIONS:
        assert result[key] is None
        assert result[f"{key}_why"] == "all labelled examples are of one class"
