"""The maximum mean discrepancy against double loops, and the bias of its two statistics."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from subjects import represented, subject

from hfvae_runner.config.names import Kernel, Statistic
from hfvae_runner.metrics.mmd import mmd, mmd_squared

KERNELS = get_args(Kernel)
STATISTICS = get_args(Statistic)
EVERY = pytest.mark.parametrize("kernel", KERNELS)
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def points(n, dimensions=3, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dimensions, generator=generator, dtype=torch.float64) + shift


def by_hand(kernel, a, b):
    """k(a, b) of two lists of numbers."""
    dimensions = len(a)
    square = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    if kernel == "rbf":
        return math.exp(-square / (2 * dimensions))
    if kernel == "imq_per_dimension":
        return sum(2 * s / (2 * s + (p - q) ** 2) for p, q in zip(a, b, strict=True) for s in SCALES)
    distance = square if kernel == "imq" else math.sqrt(square)
    return sum(2 * dimensions * s / (2 * dimensions * s + distance) for s in SCALES)


def mean_over_pairs(kernel, a, b, pairs):
    chosen = [by_hand(kernel, p, q) for i, p in enumerate(a) for j, q in enumerate(b) if pairs(i, j)]
    return sum(chosen) / len(chosen)


@EVERY
@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize(("n", "m", "dimensions"), [(4, 5, 3), (2, 7, 1)])
def test_every_kernel_and_statistic_is_the_double_loop(kernel, statistic, n, m, dimensions):
    x, y = points(n, dimensions), points(m, dimensions, seed=1, shift=0.5)
    a, b = x.tolist(), y.tolist()

    def within(i, j):
        return statistic == "v" or i != j

    expected = mean_over_pairs(kernel, a, a, within) + mean_over_pairs(kernel, b, b, within)
    expected -= 2 * mean_over_pairs(kernel, a, b, lambda i, j: True)
    value = mmd_squared(x, y, kernel=kernel, statistic=statistic)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, abs=1e-12)


@EVERY
def test_under_equality_u_is_0_in_the_mean_and_v_is_not(kernel):
    repeats, n, m = 300, 12, 15
    draws = points(repeats * (n + m), 2).view(repeats, n + m, 2)
    for statistic in STATISTICS:
        values = torch.stack([mmd_squared(d[:n], d[n:], kernel=kernel, statistic=statistic) for d in draws])
        errors = values.mean() / (values.std() / math.sqrt(repeats))
        if statistic == "u":
            assert abs(errors) < 4
            assert values.min() < 0
        else:
            assert errors > 20
            assert values.min() > 0


@EVERY
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_value_is_symmetric_and_tells_distributions_apart(kernel, statistic):
    x, y = points(60), points(80, seed=1)
    value = mmd_squared(x, y + 1, kernel=kernel, statistic=statistic)
    assert value == pytest.approx(mmd_squared(y + 1, x, kernel=kernel, statistic=statistic).item())
    assert value > 0
    assert value > 5 * mmd_squared(x, y, kernel=kernel, statistic=statistic).abs()
    assert mmd_squared(x, 3 * y, kernel=kernel, statistic=statistic) > 0


def test_only_vector_kernels_see_what_ties_dimensions_together():
    x = points(300, 1)
    tied, free = torch.cat([x, x], 1), torch.cat([x, x.flip(0)], 1)
    per_dimension = mmd_squared(tied, free, kernel="imq_per_dimension", statistic="v")
    assert per_dimension.item() == pytest.approx(0, abs=1e-12)
    for kernel in ("imq", "imq_printed", "rbf"):
        assert mmd_squared(tied, free, kernel=kernel, statistic="u") > 0.001


@EVERY
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_gradient_is_the_finite_difference(kernel, statistic):
    x, y = points(4).requires_grad_(), points(3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: mmd_squared(a, b, kernel=kernel, statistic=statistic), (x, y))


@EVERY
@pytest.mark.parametrize("statistic", STATISTICS)
def test_equal_points_have_a_finite_gradient(kernel, statistic):
    x = torch.ones(3, 2, requires_grad=True)
    y = torch.ones(4, 2, requires_grad=True)
    value = mmd_squared(x, y, kernel=kernel, statistic=statistic)
    assert value.item() == pytest.approx(0, abs=1e-5)
    for gradient in torch.autograd.grad(value, (x, y)):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@EVERY
def test_a_set_has_no_discrepancy_from_itself_far_from_the_origin(kernel):
    x = points(50) + 1e6
    assert mmd_squared(x, x, kernel=kernel, statistic="v").item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "statistic"),
    [
        (torch.zeros(1, 2), torch.zeros(3, 2), "u"),
        (torch.zeros(3, 2), torch.zeros(1, 2), "u"),
        (torch.zeros(0, 2), torch.zeros(1, 2), "v"),
        (torch.zeros(3, 2), torch.zeros(3, 4), "v"),
        (torch.zeros(3), torch.zeros(3), "v"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(x, y, statistic):
    with pytest.raises(ValueError, match="points each, got shapes"):
        mmd_squared(x, y, kernel="rbf", statistic=statistic)


@EVERY
def test_one_point_in_each_set_is_enough_with_its_own_pair(kernel):
    x = torch.zeros(1, 2, dtype=torch.float64)
    at_once = mmd_squared(x, x + 1, kernel=kernel, statistic="v").item()
    a, b = [0.0, 0.0], [1.0, 1.0]
    assert at_once == pytest.approx(2 * by_hand(kernel, a, a) - 2 * by_hand(kernel, a, b))


def test_the_metric_compares_samples_with_as_many_of_the_prior() -> None:
    # The encoder's samples 0 and 2, the prior's 1 and 3, each in one dimension: squared distances 4, 4, and 1, 9, 1, 1.
    asked = []

    def prior_sample(n: int, seed: int) -> np.ndarray:
        asked.append((n, seed))
        return np.array([[1.0], [3.0], [5.0]])[:n]

    encoded = represented(np.array([[0.0], [2.0], [100.0]]), scale=0.0)
    few = replace(subject(encoded, seed=7), prior_sample=prior_sample)
    expected = sum(2 * 2 * s / (2 * s + 4) - 2 * (3 * 2 * s / (2 * s + 1) + 2 * s / (2 * s + 9)) / 4 for s in SCALES)
    assert dict(mmd(few, draws=2)) == {
        "mmd_imq": pytest.approx(expected),
        "mmd_imq_per_dimension": pytest.approx(expected),
    }
    assert asked == [(2, 7)]
    assert mmd(few, draws=2000)["mmd_imq"] != pytest.approx(expected)
    assert asked[-1] == (3, 7)


def test_the_metric_is_0_in_the_mean_for_the_prior_itself_and_not_for_another() -> None:
    def values(spread: float) -> np.ndarray:
        codes = spread * np.random.default_rng(0).normal(size=(50, 100, 3))
        encoded = [subject(represented(each, scale=0.0), seed=1 + i) for i, each in enumerate(codes)]
        return np.array([list(mmd(each, draws=2000).values()) for each in encoded], dtype=np.float64)

    same, other = values(1.0), values(2.0)
    assert (abs(same.mean(0)) < 4 * same.std(0) / np.sqrt(50)).all()
    assert (other.mean(0) > 4 * other.std(0) / np.sqrt(50)).all()


@pytest.mark.parametrize(
    ("means", "draws", "why"),
    [
        (np.empty((3, 0)), 2000, "the prior has no continuous factors"),
        (np.zeros((1, 2)), 2000, "expected two or more"),
        (np.zeros((3, 2)), 1, "expected two or more"),
    ],
)
def test_the_metric_says_why_it_is_not_defined(means: np.ndarray, draws: int, why: str) -> None:
    result = mmd(subject(represented(means)), draws=draws)
    for key in ("mmd_imq", "mmd_imq_per_dimension"):
        assert result[key] is None
        assert why in str(result[f"{key}_why"])
