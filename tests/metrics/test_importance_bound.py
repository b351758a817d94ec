"""The importance-weighted bound on a linear model whose log p(x) is known."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from subjects import represented, subject

from hfvae_runner.metrics._subject import Floats, Integers
from hfvae_runner.metrics.importance_bound import importance_bound, log_mean_weight

# p(z) = N(0, 1), p(x|z) = N(z, S²): p(x) = N(0, 1 + S²), and p(z|x) = N(x/(1 + S²), S²/(1 + S²)).
S = 0.5
TRUE = (1 / (1 + S**2), S / np.sqrt(1 + S**2))


def log_normal(value: Floats, mean: float | Floats, scale: float) -> Floats:
    return np.asarray(-(((value - mean) / scale) ** 2) / 2 - np.log(scale * np.sqrt(2 * np.pi)))


def evidence(x: Floats) -> Floats:
    """log p(x)."""
    return log_normal(x, 0, np.sqrt(1 + S**2))


class Linear:
    """log w under q(z|x) = N(slope·x, scale²); remembers what it was asked for."""

    def __init__(self, x: Floats, slope: float, scale: float) -> None:
        self.x, self.slope, self.scale = x, slope, scale
        self.asked: list[tuple[list[int], int, int]] = []

    def __call__(self, examples: Integers, draws: int, seed: int) -> Floats:
        self.asked.append((examples.tolist(), draws, seed))
        x = self.x[examples][:, None]
        z = self.slope * x + self.scale * np.random.default_rng(seed).normal(size=(len(examples), draws))
        return log_normal(z, 0, 1) + log_normal(x, z, S) - log_normal(z, self.slope * x, self.scale)

    def bound(self, samples: int, rows: int = 10**6, seed: int = 0) -> dict[str, Any]:
        plain = subject(represented(np.zeros((len(self.x), 1))), seed=seed)
        result = importance_bound(replace(plain, log_weights=self), samples=samples, rows=rows)
        json.dumps(result, allow_nan=False)
        return dict(result)


X = np.random.default_rng(0).normal(0, np.sqrt(1 + S**2), 500)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 20), min_size=1, max_size=10), st.floats(-2000, 2000))
def test_the_parts_of_the_sum_do_not_matter(seed: int, widths: list[int], shift: float) -> None:
    log_weights = np.random.default_rng(seed).normal(size=(3, sum(widths))) * 10
    expected = np.log(np.exp(log_weights).mean(1)) + shift
    parts = np.split(log_weights + shift, np.cumsum(widths)[:-1], axis=1)
    np.testing.assert_allclose(log_mean_weight(parts), expected, atol=1e-9)
    np.testing.assert_allclose(log_mean_weight([log_weights + shift]), expected, atol=1e-9)


def test_weights_that_vanish_count_as_0() -> None:
    log_weights = np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(log_mean_weight([log_weights[:, :1], log_weights[:, 1:]]), [-np.log(2), -np.inf])


def test_the_true_posterior_is_exact_with_a_single_sample() -> None:
    for samples in (1, 60):
        result = Linear(X, *TRUE).bound(samples)
        assert result["importance_bound"] == pytest.approx(evidence(X).mean(), abs=1e-12)
        assert result["importance_bound_se"] == pytest.approx(evidence(X).std(ddof=1) / np.sqrt(len(X)))
        assert result["importance_bound_rows"] == len(X)


def test_with_one_sample_it_is_the_elbo() -> None:
    slope, scale = 0.3, 0.9
    # E log p(x|z) − KL in closed form, for the mean over the draws.
    m = slope * X
    elbo = log_normal(X, m, S) - scale**2 / (2 * S**2) - (m**2 + scale**2 - 1 - 2 * np.log(scale)) / 2
    bounds = [Linear(X, slope, scale).bound(1, seed=seed)["importance_bound"] for seed in range(100)]
    error = np.std(bounds, ddof=1) / np.sqrt(len(bounds))
    assert error < 0.02
    assert np.mean(bounds) == pytest.approx(elbo.mean(), abs=4 * error)


def test_it_rises_with_the_samples_towards_the_evidence_and_stays_below() -> None:
    wrong = Linear(X, 0.3, 0.9)
    bounds = [wrong.bound(k)["importance_bound"] for k in (1, 5, 50, 1000)]
    truth = evidence(X).mean()
    # Between neighbours lies far more than the error of about 0.01.
    assert bounds[0] < bounds[1] - 0.1 < bounds[2] - 0.15
    assert bounds[3] == pytest.approx(truth, abs=0.01)
    assert bounds[2] < truth
    many = [wrong.bound(20, seed=seed)["importance_bound"] for seed in range(20)]
    assert np.mean(many) < truth - 4 * np.std(many, ddof=1) / np.sqrt(len(many))


def test_the_standard_error_is_that_over_examples() -> None:
    generator = np.random.default_rng(1)
    repeats = [Linear(generator.normal(0, np.sqrt(1 + S**2), 100), 0.6, 0.6).bound(20) for _ in range(200)]
    spread = np.std([each["importance_bound"] for each in repeats], ddof=1)
    assert np.mean([each["importance_bound_se"] for each in repeats]) == pytest.approx(spread, rel=0.2)


def test_every_draw_is_asked_for_once_with_a_seed_of_its_own() -> None:
    model = Linear(X[:45], 0.6, 0.6)
    assert model.bound(120)["importance_bound_rows"] == 45
    draws = {n: [d for examples, d, _ in model.asked if n in examples] for n in range(45)}
    assert all(sum(each) == 120 for each in draws.values())
    assert max(max(each) for each in draws.values()) <= 50
    seeds = [seed for *_, seed in model.asked]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_first_rows_are_the_same_whatever_comes_after() -> None:
    few, many = Linear(X, 0.6, 0.6), Linear(X, 0.6, 0.6)
    assert few.bound(70, rows=40)["importance_bound_rows"] == 40
    many.bound(70, rows=100)
    assert many.asked[: len(few.asked)] == few.asked


def test_the_same_seed_gives_the_same_number() -> None:
    def once(seed: int) -> dict[str, Any]:
        return Linear(X[:50], 0.6, 0.6).bound(30, seed=seed)

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_a_single_example_has_no_standard_error() -> None:
    result = Linear(X, *TRUE).bound(10, rows=1)
    assert result["importance_bound"] == pytest.approx(evidence(X[0]))
    assert result["importance_bound_se"] is None
    assert "single example" in result["importance_bound_se_why"]


def test_an_example_of_no_finite_weight_says_so() -> None:
    plain = subject(represented(np.zeros((4, 1))))
    result = importance_bound(
        replace(plain, log_weights=lambda examples, draws, seed: np.full((len(examples), draws), -np.inf)),
        samples=10,
        rows=3,
    )
    for key in ("importance_bound", "importance_bound_se"):
        assert result[key] is None
        assert result[f"{key}_why"] == "3 of 3 examples have no finite estimate of log p(x)"
    assert result["importance_bound_rows"] == 3
