"""Information about attributes, against closed forms and another implementation."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from hfvae_runner.metrics.attribute_information import (
    binned_attribute_information,
    categorical_attribute_information,
)
from hfvae_runner.metrics.label_information import decile_edges


def entropy(share):
    return -(share * np.log(share) + (1 - share) * np.log(1 - share))


def test_each_factor_and_attribute_agrees_with_another_implementation():
    generator = np.random.default_rng(0)
    attributes = generator.random((500, 3)) < [0.5, 0.1, 0.9]
    samples = generator.normal(size=(500, 2)) + attributes[:, :2] * 3
    edges = decile_edges(samples)
    information = binned_attribute_information(samples, attributes, edges)
    assert information.shape == (3, 2)
    for a in range(3):
        for d in range(2):
            bins = np.searchsorted(edges[d], samples[:, d], side="right")
            assert information[a, d] == pytest.approx(mutual_info_score(attributes[:, a], bins), abs=1e-12)
    assert information[0, 0] > 5 * information[0, 1]
    assert information[1, 1] > 5 * information[1, 0]


def test_a_factor_that_is_the_attribute_holds_its_entropy():
    attributes = np.arange(100)[:, None] < [50, 20]
    samples = attributes.astype(float)
    information = binned_attribute_information(samples, attributes, np.full((2, 1), 0.5))
    np.testing.assert_allclose(np.diagonal(information), [np.log(2), entropy(0.2)])


def test_an_attribute_that_all_or_none_have_holds_nothing():
    samples = np.random.default_rng(1).normal(size=(50, 2))
    attributes = np.arange(50)[:, None] < [0, 50]
    np.testing.assert_allclose(binned_attribute_information(samples, attributes, decile_edges(samples)), 0, atol=1e-15)


def test_grouped_labels_share_their_information():
    """Attributes that ask for groups of a four-way label: what is known of the label is known of each."""
    label = np.arange(80) % 4
    probabilities = np.eye(4)[label]
    attributes = np.stack([label == 0, label < 2], axis=1)
    np.testing.assert_allclose(
        categorical_attribute_information(probabilities, attributes), [entropy(0.25), np.log(2)], rtol=1e-12
    )
    np.testing.assert_allclose(
        categorical_attribute_information(np.full((80, 4), 0.25), attributes), 0, atol=1e-15
    )  # fmt: skip


@pytest.mark.parametrize("attributes", [np.zeros((5, 2)), np.zeros(5, bool), np.zeros((5, 0), bool)])
def test_unusable_attributes_are_refused(attributes):
    with pytest.raises(ValueError, match=r"expected attributes \[N, A\]"):
        binned_attribute_information(np.zeros((5, 1)), attributes, np.zeros((1, 9)))
    with pytest.raises(ValueError, match=r"expected attributes \[N, A\]"):
        categorical_attribute_information(np.full((5, 2), 0.5), attributes)


def test_as_many_attributes_as_examples_are_needed():
    with pytest.raises(ValueError, match="expected 4 labels"):
        binned_attribute_information(np.zeros((4, 1)), np.zeros((5, 1), bool), np.zeros((1, 9)))
