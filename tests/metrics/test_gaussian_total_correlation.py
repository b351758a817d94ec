"""The total correlation of a normal distribution against closed forms, and the covariance of a mixture."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import multivariate_normal, norm
from subjects import represented, subject

from hfvae_runner.metrics._subject import Representation
from hfvae_runner.metrics.gaussian_total_correlation import (
    aggregate_covariance,
    gaussian_total_correlation,
    normal_total_correlation,
)


def measured(encoded: Representation) -> dict[str, Any]:
    result = gaussian_total_correlation(subject(encoded))
    json.dumps(result, allow_nan=False)
    return dict(result)


def test_two_factors_have_the_information_of_their_correlation() -> None:
    for correlation in (0.0, 0.3, -0.9, 0.999999):
        covariance = np.array([[4.0, 2 * 7 * correlation], [2 * 7 * correlation, 49]])
        assert normal_total_correlation(covariance) == pytest.approx(-np.log1p(-(correlation**2)) / 2, abs=1e-9)


def test_it_is_the_divergence_from_the_product_of_the_marginals() -> None:
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    x, y = np.meshgrid(np.linspace(-8, 8, 400), np.linspace(-11, 11, 400), indexing="ij")
    joint = multivariate_normal([0, 0], covariance).logpdf(np.stack([x, y], axis=-1))
    ratio = joint - norm(0, 1).logpdf(x) - norm(0, np.sqrt(2)).logpdf(y)
    cell = (16 / 399) * (22 / 399)
    assert normal_total_correlation(covariance) == pytest.approx((np.exp(joint) * ratio).sum() * cell, abs=1e-9)


def test_equal_correlations_in_closed_form() -> None:
    # The eigenvalues of D equally correlated factors are 1 + (D−1)ρ and D−1 times 1 − ρ.
    d, rho = 6, 0.4
    covariance = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    expected = -(np.log(1 + (d - 1) * rho) + (d - 1) * np.log(1 - rho)) / 2
    assert normal_total_correlation(covariance) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_it_is_not_negative_and_knows_neither_units_nor_order(seed: int, d: int) -> None:
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(d, 2 * d + 2))
    covariance = factor @ factor.T
    value = normal_total_correlation(covariance)
    assert value is not None
    assert value >= 0
    log_determinants = np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1]
    assert value == pytest.approx(log_determinants / 2, abs=1e-9)
    units = 10.0 ** generator.integers(-100, 100, d)
    order = generator.permutation(d)
    assert normal_total_correlation(covariance * units * units[:, None]) == pytest.approx(value, abs=1e-9)
    assert normal_total_correlation(covariance[order][:, order]) == pytest.approx(value, abs=1e-9)


def test_the_covariance_is_the_mixtures_own() -> None:
    generator = np.random.default_rng(0)
    mean, scale = generator.normal([0, 10, -3], size=(5, 3)), generator.uniform(0.1, 2, (5, 3))
    n, draws = 5, 400_000
    sample = (mean[:, None] + scale[:, None] * generator.normal(size=(n, draws, 3))).reshape(-1, 3)
    np.testing.assert_allclose(aggregate_covariance(mean, scale), np.cov(sample.T), atol=0.02)
    np.testing.assert_allclose(aggregate_covariance(mean[:1], scale[:1]), np.diag(scale[0] ** 2))


def test_posteriors_blur_the_correlation_of_their_means() -> None:
    # Means ±1 together: covariance 1; each variance 1 + σ².
    mean = np.array([[1.0, 1.0], [-1, -1]])
    for scale in (0.1, 1.0):
        correlation = 1 / (1 + scale**2)
        result = measured(represented(mean, scale))
        assert result == {"gaussian_total_correlation": pytest.approx(-np.log(1 - correlation**2) / 2)}


def test_independent_means_have_none_and_a_rotation_of_unequal_ones_has() -> None:
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert measured(represented(square * [3, 1]))["gaussian_total_correlation"] == pytest.approx(0, abs=1e-12)
    rotated = square * [3, 1] @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    # Variances 9 and 1 mix to 5 and 5 with covariance 4; σ² = 0.01 on top.
    expected = -np.log(1 - (4 / 5.01) ** 2) / 2
    assert measured(represented(rotated))["gaussian_total_correlation"] == pytest.approx(expected)


def test_a_single_factor_and_collapsed_ones_have_none() -> None:
    assert measured(represented(np.arange(4.0)[:, None]))["gaussian_total_correlation"] == 0
    collapsed = represented(np.zeros((5, 3)), scale=1.0)
    assert measured(collapsed)["gaussian_total_correlation"] == pytest.approx(0, abs=1e-12)
    assert measured(represented([[1.0, 2.0]]))["gaussian_total_correlation"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("mean", "scale", "why"),
    [
        (np.empty((2, 0)), 1.0, "no continuous factors"),
        ([[1.0, 1.0], [-1, -1]], 0.0, "singular"),
        ([[1.0, 0.0], [-1, 0]], 0.0, "singular"),
        ([[1.0, 1.0], [-1, -1]], 1e-9, "singular"),
    ],
)
def test_where_it_is_not_defined_it_says_why(mean: ArrayLike, scale: float, why: str) -> None:
    result = measured(represented(mean, scale))
    assert result["gaussian_total_correlation"] is None
    assert why in result["gaussian_total_correlation_why"]
