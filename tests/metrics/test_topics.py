"""Top words and correlations of topics, where the answer is known."""

import numpy as np
import pytest

from hfvae_runner.metrics.topics import activation_correlation, group_correlation, most_correlated, top_words


def test_top_words_are_the_likeliest_in_order():
    weights = np.array([[0.1, 3.0, -2.0, 0.5], [5.0, 4.0, 3.0, 6.0]])
    assert top_words(weights, 3).tolist() == [[1, 3, 0], [3, 0, 1]]
    assert top_words(-weights, 2).tolist() == [[2, 0], [2, 1]]


def test_equal_words_come_in_the_vocabularys_order():
    assert top_words(np.zeros((1, 30)), 10).tolist() == [list(range(10))]
    assert top_words(np.array([[0, 1, 0, 1, 1]]), 4).tolist() == [[1, 3, 4, 0]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((2, 3)), "at least 10 words"),
        (np.zeros(20), r"\[T, V\]"),
        (np.full((1, 20), np.nan), "not finite"),
        (np.full((1, 20), -np.inf), "not finite"),
    ],
)
def test_unusable_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        top_words(weights)


def test_correlation_agrees_with_numpy_and_does_not_depend_on_scale_or_place():
    generator = np.random.default_rng(0)
    means = generator.normal(size=(200, 5)) @ generator.normal(size=(5, 5))
    expected = np.corrcoef(means.T)
    np.testing.assert_allclose(activation_correlation(means), expected, atol=1e-12)
    scaled = means * [1e-200, 1, 1e200, 3, 7] + [0, 1e3, 0, -5, 0]
    np.testing.assert_allclose(activation_correlation(scaled), expected, atol=1e-9)


def test_a_copy_and_its_opposite():
    z = np.random.default_rng(1).normal(size=50)
    correlation = activation_correlation(np.stack([z, z, -2 * z], axis=1))
    np.testing.assert_allclose(correlation, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert abs(correlation).max() <= 1


def test_a_topic_that_never_changes_correlates_with_nothing():
    z = np.random.default_rng(2).normal(size=(50, 3))
    z[:, 1] = 0.1
    correlation = activation_correlation(z)
    assert np.isnan(correlation[1]).all() and np.isnan(correlation[:, 1]).all()
    assert np.isfinite(correlation[[0, 2]][:, [0, 2]]).all()
    assert np.isnan(activation_correlation(np.ones((3, 2)))).all()


@pytest.mark.parametrize(
    ("means", "message"),
    [(np.zeros((1, 3)), "at least two"), (np.zeros(3), r"\[N, T\]"), (np.array([[0.0], [np.inf]]), "not finite")],
)
def test_unusable_means_are_refused(means, message):
    with pytest.raises(ValueError, match=message):
        activation_correlation(means)


def test_pairs_inside_and_across_groups():
    correlation = np.array([[1, 0.1, -0.5, 0.3], [0.1, 1, 0.2, 0.0], [-0.5, 0.2, 1, -0.7], [0.3, 0.0, -0.7, 1]])
    within, between = group_correlation(correlation, [2, 2])
    assert within == pytest.approx((0.1 + 0.7) / 2)
    assert between == pytest.approx((0.5 + 0.3 + 0.2 + 0.0) / 4)


def test_pairs_that_are_not_known_are_left_out():
    correlation = np.array([[1, np.nan, 0.5], [np.nan, np.nan, np.nan], [0.5, np.nan, 1]])
    assert group_correlation(correlation, [2, 1]) == (None, 0.5)
    assert group_correlation(correlation[[0, 2]][:, [0, 2]], [2]) == (0.5, None)


def test_chance_is_as_documented():
    documents = 1000
    correlation = activation_correlation(np.random.default_rng(3).normal(size=(documents, 100)))
    chance = group_correlation(correlation, [50, 50])
    assert chance.within == pytest.approx(0.8 / np.sqrt(documents), rel=0.05)
    assert chance.between == pytest.approx(0.8 / np.sqrt(documents), rel=0.05)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        group_correlation(np.eye(4), [2, 3])


def test_the_most_correlated_topics():
    correlation = np.eye(5)
    correlation[1, 4] = correlation[4, 1] = -0.9
    correlation[0, 4] = correlation[4, 0] = 0.6
    assert most_correlated(correlation, 3) == [1, 4, 0]
    correlation[2] = correlation[:, 2] = np.nan
    assert set(most_correlated(correlation, 9)) == {0, 1, 3, 4}
    assert most_correlated(np.full((3, 3), np.nan), 3) == []
