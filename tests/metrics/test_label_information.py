"""The label information of HFVAE A.2 against closed forms, another implementation, and its own bias."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from subjects import represented, subject

from hfvae_runner.metrics._subject import Representation, Truth
from hfvae_runner.metrics.label_information import (
    binned_label_information,
    categorical_label_information,
    decile_edges,
    label_contributions,
    label_information,
    permuted_baseline,
)


def entropy(probabilities):
    probabilities = np.asarray(probabilities)
    return -(probabilities * np.log(probabilities)).sum()


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_each_bin_holds_a_tenth_of_the_training_samples(tenth, seed):
    samples = np.random.default_rng(seed).permutation(10 * tenth).reshape(-1, 1) * 0.3 - 1.0
    edges = decile_edges(samples)
    assert edges.shape == (1, 9)
    bins = np.searchsorted(edges[0], samples[:, 0], side="right")
    assert np.bincount(bins, minlength=10).tolist() == [tenth] * 10


def test_the_edges_come_from_the_training_split_alone():
    edges = decile_edges(np.arange(100.0)[:, None])
    shifted = np.arange(100.0)[:, None] + 1000
    # Everything lies beyond the last training edge, so one bin holds it all and nothing is known.
    assert binned_label_information(shifted, np.arange(100) % 2, edges).sum() == 0


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 5))
def test_binned_agrees_with_another_implementation_per_factor(seed, examples, classes):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, examples)
    samples = generator.normal(size=(examples, 3)) + labels[:, None] * [0.0, 1.0, 5.0]
    edges = decile_edges(samples)
    contributions = binned_label_information(samples, labels, edges, classes)
    assert contributions.shape == (classes, 3)
    assert (contributions >= -1e-12).all()
    for factor in range(3):
        bins = [sum(value >= edge for edge in edges[factor]) for value in samples[:, factor]]
        assert contributions[:, factor].sum() == pytest.approx(mutual_info_score(labels, bins), abs=1e-12)


def test_a_class_contributes_what_the_equation_says():
    # One binary split: class 0 always below, class 1 half below, half above.
    samples = np.array([[0.0], [0.0], [0.0], [1.0]])
    labels = np.array([0, 0, 1, 1])
    contributions = binned_label_information(samples, labels, np.array([[0.5]]))
    expected_0 = 2 / 4 * np.log((2 / 4) / (3 / 4 * 2 / 4))
    expected_1 = 1 / 4 * np.log((1 / 4) / (3 / 4 * 2 / 4)) + 1 / 4 * np.log((1 / 4) / (1 / 4 * 2 / 4))
    np.testing.assert_allclose(contributions[:, 0], [expected_0, expected_1], rtol=1e-12)


def test_a_factor_that_is_the_label_holds_the_labels_entropy():
    labels = np.repeat(np.arange(10), 30)
    samples = labels[:, None] + np.random.default_rng(0).uniform(-0.2, 0.2, (300, 1))
    contributions = binned_label_information(samples, labels, decile_edges(samples))
    np.testing.assert_allclose(contributions[:, 0], np.log(10) / 10, rtol=1e-12)


def test_ties_share_a_bin_and_a_constant_factor_knows_nothing():
    labels = np.arange(50) % 5
    samples = np.column_stack([np.full(50, 3.0), labels // 3])
    contributions = binned_label_information(samples, labels, decile_edges(samples))
    assert (contributions[:, 0] == 0).all()
    # Two values, however many coinciding edges between them, are two groups: labels 0 to 2 and 3 to 4.
    assert contributions[:, 1].sum() == pytest.approx(entropy([0.6, 0.4]))


def test_a_value_on_an_edge_belongs_to_the_bin_above():
    edges = np.array([[1.0, 2.0]])
    samples = np.array([[0.9], [1.0], [1.9], [2.0]])
    together = binned_label_information(samples, np.array([0, 1, 1, 2]), edges).sum()
    assert together == pytest.approx(entropy([0.25, 0.5, 0.25]))


def test_fewer_examples_than_bins_give_the_labels_entropy():
    samples = np.array([[0.3], [-1.0], [2.0], [0.7]])
    labels = np.array([0, 1, 0, 1])
    assert binned_label_information(samples, labels, decile_edges(samples)).sum() == pytest.approx(np.log(2))
    assert binned_label_information(samples[:1], labels[:1], decile_edges(samples[:1])).sum() == 0


def test_a_class_that_does_not_occur_contributes_nothing():
    generator = np.random.default_rng(1)
    samples, labels = generator.normal(size=(40, 2)), generator.choice([0, 3], 40)
    contributions = binned_label_information(samples, labels, decile_edges(samples), classes=6)
    assert contributions.shape == (6, 2)
    assert (contributions[[1, 2, 4, 5]] == 0).all()
    probabilities = generator.dirichlet(np.ones(4), 40)
    assert (categorical_label_information(probabilities, labels, classes=6)[[1, 2, 4, 5]] == 0).all()


def test_the_bias_on_independent_data_is_as_documented():
    generator = np.random.default_rng(2)
    examples, repeats = 2000, 200
    samples = generator.normal(size=(examples, repeats))
    information = binned_label_information(samples, generator.integers(0, 10, examples), decile_edges(samples)).sum(0)
    error = information.std() / np.sqrt(repeats)
    assert error < 0.001
    assert abs(information.mean() - 81 / (2 * examples)) < 5 * error


def test_the_permuted_baseline_measures_the_bias_where_there_is_information():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 10, 2000)
    samples = np.column_stack([labels + generator.normal(size=2000), generator.normal(size=2000)])
    edges = decile_edges(samples)

    def estimate(permuted):
        return binned_label_information(samples, permuted, edges).sum(0)

    assert estimate(labels)[0] > 0.5
    baseline = permuted_baseline(estimate, labels, np.random.default_rng(4), permutations=40)
    np.testing.assert_allclose(baseline, 81 / 4000, rtol=0.15)
    again = permuted_baseline(estimate, labels, np.random.default_rng(4), permutations=40)
    np.testing.assert_array_equal(baseline, again)


@given(st.integers(0, 2**32 - 1))
def test_certain_categories_give_the_plug_in_information(seed):
    generator = np.random.default_rng(seed)
    labels, categories = generator.integers(0, 4, 60), generator.integers(0, 7, 60)
    information = categorical_label_information(np.eye(7)[categories], labels).sum()
    assert information == pytest.approx(mutual_info_score(labels, categories), abs=1e-12)


def test_categorical_information_by_the_papers_sums():
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    labels = np.array([0, 0, 1])
    given_label = {0: (probabilities[0] + probabilities[1]) / 2, 1: probabilities[2]}
    marginal = probabilities.mean(0)
    expected = [
        share * (given_label[k] * np.log(given_label[k] / marginal)).sum() for k, share in ((0, 2 / 3), (1, 1 / 3))
    ]
    np.testing.assert_allclose(categorical_label_information(probabilities, labels), expected, rtol=1e-12)


def test_categories_that_do_not_depend_on_the_label_know_nothing():
    information = categorical_label_information(np.full((30, 5), 0.2), np.arange(30) % 3)
    np.testing.assert_allclose(information, 0, atol=1e-15)


def test_tiny_probabilities_stay_finite():
    probabilities = np.array([[1.0, 5e-324], [1.0, 1e-300], [1.0, 0.0]])
    assert np.isfinite(categorical_label_information(probabilities, np.array([0, 1, 1]))).all()


@pytest.mark.parametrize(
    ("samples", "labels", "message"),
    [
        (np.array([[np.nan], [0.0]]), np.array([0, 1]), "not finite"),
        (np.zeros((0, 2)), np.zeros(0, int), "at least one example"),
        (np.zeros(3), np.zeros(3, int), r"\[N, D\]"),
        (np.zeros((3, 1)), np.zeros(2, int), "expected 3 labels"),
        (np.zeros((2, 1)), np.array([-1, 0]), "labels must lie"),
        (np.zeros((2, 1)), np.array([0, 9]), "labels must lie"),
    ],
)
def test_unusable_input_is_refused(samples, labels, message):
    with pytest.raises(ValueError, match=message):
        binned_label_information(samples, labels, np.zeros((1, 9)), classes=9)


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(ValueError, match="sum to 1"):
        categorical_label_information(np.array([[1.0, 2.0]]), np.array([0]))
    with pytest.raises(ValueError, match="non-negative"):
        categorical_label_information(np.array([[-1.0, 2.0]]), np.array([0]))


def informed(labels: np.ndarray, size: int = 2) -> Representation:
    """One factor is the row's number, one the same for all; the discrete variable is right nine times of ten."""
    n = len(labels)
    encoded = represented(
        np.column_stack([np.arange(n), np.full(n, 0.1)]),
        scale=0.0,
        discrete={"class": np.where(np.eye(2)[labels % 2] == 1, 0.9, 0.1)},
    )
    return replace(encoded, label=Truth("label", labels, size))


def measured(encoded: Representation, train: Representation | None = None, seed: int = 0) -> dict[str, Any]:
    return dict(label_information(subject(encoded, train=train, seed=seed)))


def test_the_metric_on_an_example_by_hand() -> None:
    # Of twenty rows each bin has two: of the halves they tell all, and the rounded half is as good.
    labels = np.repeat([0, 1], 10)
    result = measured(informed(labels))
    of_class = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    assert result["label_information"] == {
        "z[0]": pytest.approx(np.log(2)),
        "z[1]": 0,
        "class": pytest.approx(of_class),
    }
    assert result["label_information_gap"] == pytest.approx(of_class - np.log(2))
    assert "label_information_gap_why" not in result
    contributions = label_contributions(informed(labels), informed(labels))
    assert contributions is not None
    np.testing.assert_allclose(contributions, [[np.log(2) / 2, 0, of_class / 2]] * 2, atol=1e-15)


def test_the_metrics_baseline_is_that_of_permuted_labels() -> None:
    encoded = informed(np.arange(2000) % 2)
    result = measured(encoded)
    permuted = result["label_information_permuted"]
    assert list(permuted) == ["z[0]", "z[1]", "class"]
    # The bias of ten bins and two classes, 9/(2N); of two categories with q = 0.9 or 0.1 it is smaller than 1/(2N).
    assert permuted["z[0]"] == pytest.approx(9 / 4000, rel=0.6)
    assert permuted["z[1]"] == 0
    assert 0 < permuted["class"] < 2 / 4000
    assert measured(encoded) == result
    assert measured(encoded, seed=1)["label_information_permuted"] != permuted


def test_the_metrics_bins_are_the_training_splits() -> None:
    labels = np.repeat([0, 1], 10)
    train = represented(np.column_stack([np.arange(100) + 1000, np.arange(100)]), scale=0.0)
    assert measured(informed(labels), train=train)["label_information"]["z[0]"] == 0


def test_the_metric_leaves_out_what_has_no_label() -> None:
    labels = np.repeat([0, 1], 10)
    more = informed(np.append(labels, [0] * 20), size=3)
    unknown = replace(more, label=Truth("label", np.append(labels, [-1] * 20), 3))
    train = informed(labels)
    assert measured(unknown, train=train) == measured(informed(labels), train=train)
    contributions = label_contributions(unknown, train)
    assert contributions is not None
    assert contributions.shape == (3, 3)
    assert (contributions[2] == 0).all(), "a class that does not occur"
    assert contributions.sum(0).tolist() == list(measured(unknown, train=train)["label_information"].values())


def test_the_metric_without_labels_or_without_one_kind_of_variable() -> None:
    for label, why in (
        (None, "the data set has no labels"),
        (Truth("label", np.full(4, -1), 2), "no example has a label"),
    ):
        without = replace(informed(np.array([0, 0, 1, 1])), label=label)
        assert label_contributions(without, without) is None
        result = measured(without)
        for key in ("label_information", "label_information_permuted", "label_information_gap"):
            assert (result[key], result[f"{key}_why"]) == (None, why)
    continuous = replace(informed(np.array([0, 0, 1, 1])), discrete=())
    result = measured(continuous)
    assert list(result["label_information"]) == ["z[0]", "z[1]"]
    assert result["label_information_gap"] is None
    assert result["label_information_gap_why"] == "the prior has no discrete variable"
    discrete = represented(np.empty((4, 0)), discrete={"c": np.eye(2)[[0, 0, 1, 1]]}, label=[0, 0, 1, 1])
    result = measured(discrete)
    assert result["label_information"] == {"c": pytest.approx(np.log(2))}
    assert result["label_information_gap_why"] == "the prior has no continuous factor"
