"""Hoyer sparsity against its definition, its known values, and where it does not exist."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi
from subjects import represented, subject

from hfvae_runner.metrics.hoyer import hoyer, hoyer_sparsity


def value(means, scaled=False):
    result = hoyer(np.asarray(means), scaled=scaled)
    assert result.why is None
    assert isinstance(result.value, float)
    return result.value


def test_one_dimension_on_is_sparse_and_all_alike_is_dense():
    assert value(np.eye(5) * [[1.0], [-2.0], [3.0], [1e-3], [9.0]]) == pytest.approx(1)
    assert value(np.array([[2.0, -2, 2], [-1, 1, 1]])) == pytest.approx(0, abs=1e-12)


def test_the_value_of_a_vector_by_hand():
    # ‖(3, 4)‖₁ = 7 and ‖(3, 4)‖₂ = 5.
    assert value([[3.0, -4.0]]) == pytest.approx((np.sqrt(2) - 7 / 5) / (np.sqrt(2) - 1))


def test_the_value_is_the_mean_over_examples_and_not_that_of_the_mean():
    means = np.array([[1.0, 0], [1, 1]])
    assert value(means) == pytest.approx(0.5)


def test_the_scaling_divides_each_dimension_by_its_deviation_over_the_data():
    means = np.random.default_rng(0).normal(size=(50, 4)) * [0.01, 1, 10, 100] + 0.3
    assert value(means, scaled=True) == pytest.approx(value(means / means.std(0)))
    assert value(means, scaled=True) != pytest.approx(value((means - means.mean(0)) / means.std(0)), abs=0.01)


def test_one_wide_dimension_is_sparse_only_without_scaling():
    means = np.random.default_rng(1).normal(size=(20_000, 20)) * np.array([100] + [1] * 19)
    assert value(means) > 0.8
    # ‖z‖₁/‖z‖₂ of a Gaussian does not depend on ‖z‖₂, so its mean is E‖z‖₁ / E‖z‖₂, where ‖z‖₂ is chi of 20 degrees.
    ratio = 20 * np.sqrt(2 / np.pi) / chi(20).mean()
    assert value(means, scaled=True) == pytest.approx((np.sqrt(20) - ratio) / (np.sqrt(20) - 1), abs=0.002)


def test_a_dimension_without_variance_is_left_out_of_the_scaled_sparsity():
    alive = np.random.default_rng(2).normal(size=(1000, 3)).astype(np.float32)
    constant = np.full((1000, 1), 0.1, np.float32)  # its computed deviation is not exactly 0
    assert value(np.hstack([alive, constant]), scaled=True) == pytest.approx(value(alive, scaled=True))
    assert value(np.hstack([alive, constant])) != pytest.approx(value(alive), abs=0.01)


def test_an_example_at_the_origin_is_left_out():
    assert value([[3.0, 4.0], [0, 0]]) == pytest.approx(value([[3.0, 4.0]]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(2, 6), st.integers(-290, 290))
def test_the_sparsity_lies_between_0_and_1_whatever_the_scale(seed, examples, dimensions, power):
    generator = np.random.default_rng(seed)
    means = generator.normal(size=(examples, dimensions)) * generator.integers(0, 2, size=(examples, dimensions))
    for scaled in (False, True):
        result = hoyer(means * 10.0**power, scaled=scaled)
        same = hoyer(means, scaled=scaled)
        assert (result.value is None) == (same.value is None) == (result.why is not None)
        if result.value is not None:
            assert 0 <= result.value <= 1
            assert result.value == pytest.approx(same.value, abs=1e-9)


@pytest.mark.parametrize(
    ("means", "scaled", "why"),
    [
        (np.ones((3, 1)), False, "two dimensions"),
        (np.arange(3.0)[:, None], True, "1 of 1 dimensions vary"),
        (np.array([[1.0, 5.0], [2.0, 5.0]]), True, "1 of 2 dimensions vary"),
        (np.ones((1, 4)), True, "0 of 4 dimensions vary"),
        (np.zeros((2, 2)), False, "origin"),
    ],
)
def test_an_undefined_sparsity_says_why(means, scaled, why):
    result = hoyer(means, scaled=scaled)
    assert result.value is None
    assert why in (result.why or "")


@pytest.mark.parametrize(
    ("means", "message"),
    [(np.zeros((0, 2)), "at least one"), (np.zeros(3), r"\[N, D\]"), (np.array([[np.nan, 1]]), "not finite")],
)
def test_unusable_means_are_refused(means, message):
    with pytest.raises(ValueError, match=message):
        hoyer(means, scaled=False)


def test_the_metric_is_of_the_means_scaled_and_as_they_are() -> None:
    # Deviations 2 and ½: scaled, the examples are (2, 0), (0, 2), (0, −2), (−2, 0) over √2 — as sparse as can be.
    means = np.array([[2.0, 0], [0, 0.5], [0, -0.5], [-2, 0]]) * np.sqrt(2)
    assert dict(hoyer_sparsity(subject(represented(means, scale=5.0)))) == {
        "hoyer": pytest.approx(1),
        "hoyer_unscaled": pytest.approx(1),
    }
    # Means (±4, ±1): ratio 5/√17 as they are, √2 scaled.
    signs = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    root = np.sqrt(2)
    assert dict(hoyer_sparsity(subject(represented(signs * [4, 1])))) == {
        "hoyer": pytest.approx(0, abs=1e-12),
        "hoyer_unscaled": pytest.approx((root - 5 / np.sqrt(17)) / (root - 1)),
    }


def test_the_metric_says_why_it_is_not_defined() -> None:
    discrete = hoyer_sparsity(subject(represented(np.empty((2, 0)), discrete={"c": np.eye(2)})))
    assert dict(discrete) == {
        "hoyer": None,
        "hoyer_why": "the prior has no continuous factors",
        "hoyer_unscaled": None,
        "hoyer_unscaled_why": "the prior has no continuous factors",
    }
    collapsed = hoyer_sparsity(subject(represented(np.full((4, 3), 0.5))))
    assert collapsed["hoyer"] is None
    assert collapsed["hoyer_why"] == "0 of 3 dimensions vary over the data; expected two or more"
    assert collapsed["hoyer_unscaled"] == pytest.approx(0, abs=1e-12)
