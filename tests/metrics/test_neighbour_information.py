"""The nearest-neighbour estimator: against its definition, scikit-learn's, and known information."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from hfvae_runner.metrics._neighbour_information import neighbour_information


def by_definition(values: Any, groups: Any, k: int) -> float:
    """Ross 2014, Eq. 2, example by example."""
    counts = {group: (groups == group).sum() for group in groups}
    kept = np.array([counts[group] > 1 for group in groups])
    values, groups = values[kept], groups[kept]
    terms = []
    for i, (value, group) in enumerate(zip(values, groups, strict=True)):
        distances = np.abs(values - value)
        own = np.sort(np.delete(distances, i)[np.delete(groups, i) == group])
        used = min(k, len(own))
        closer = (distances < own[used - 1]).sum()
        terms.append(digamma(used) - digamma(len(own) + 1) - digamma(closer))
    return max(0.0, float(digamma(len(values)) + np.mean(terms)))


@given(st.integers(0, 1 << 32), st.integers(4, 60), st.integers(1, 12), st.integers(1, 12))
def test_is_the_definition(seed: int, n: int, sizes: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(sizes, size=n)
    groups[1] = groups[0]
    values = generator.standard_normal(n) + groups
    assert neighbour_information(values, groups, k) == pytest.approx(by_definition(values, groups, k), abs=1e-12)


def test_agrees_with_scikit_learn() -> None:
    # In groups of at most twice k, scikit-learn rounds distances and counts the k-th neighbour as closer.
    generator = np.random.default_rng(0)
    groups = generator.integers(4, size=1000)
    values = generator.standard_normal(1000) + groups
    (expected,) = mutual_info_classif(values[:, None], groups, discrete_features=False, n_neighbors=10, random_state=0)
    assert neighbour_information(values, groups, 10) == pytest.approx(expected, abs=1e-6)


def test_groups_far_apart_are_known_and_equal_ones_are_not() -> None:
    groups = np.repeat([0, 1, 2], 200)
    noise = np.random.default_rng(0).standard_normal(600)
    assert neighbour_information(noise + 100 * groups, groups, 10) == pytest.approx(np.log(3), abs=0.01)
    assert neighbour_information(noise, groups, 10) < 0.05
