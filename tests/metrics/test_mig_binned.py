"""The gap of binned means against another implementation of binning and information."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import mutual_info_score
from subjects import grid, represented, subject

from hfvae_runner.config.factor_classes import binned
from hfvae_runner.metrics._subject import UNKNOWN, Integers, Truth
from hfvae_runner.metrics.mig_binned import mig_binned


def factors_of(values: Integers) -> dict[str, Integers]:
    return {f"f{k}": column for k, column in enumerate(values.T)}


def score(
    *arguments: ArrayLike, samples: int = 10_000, bins: int = 20, seed: int = 0, **options: Any
) -> dict[str, Any]:
    return dict(mig_binned(subject(represented(*arguments, **options), seed=seed), samples=samples, bins=bins))


def test_the_gap_is_that_of_the_published_definition() -> None:
    generator = np.random.default_rng(0)
    values = grid(3, 4, 30)[:, :2]
    mean = np.hstack([values, values.sum(1, keepdims=True)]) + generator.normal(size=(360, 3))
    result = score(mean, truth=factors_of(values), bins=7)
    codes = [np.digitize(column, np.histogram(column, 7)[1][:-1]) for column in mean.T]
    for k, factor in enumerate(values.T):
        *_, second, first = sorted(mutual_info_score(code, factor) for code in codes)
        assert result["mig_binned_per_factor"][f"f{k}"] == pytest.approx(
            (first - second) / mutual_info_score(factor, factor)
        )
    assert result["mig_binned"] == pytest.approx(np.mean(list(result["mig_binned_per_factor"].values())))


def test_bins_are_of_equal_width_and_close_at_the_greatest() -> None:
    assert binned(np.array([0.0, 0.24, 0.25, 0.5, 0.99, 1.0]), 4).tolist() == [0, 0, 1, 2, 3, 3]
    assert binned(np.full(3, 1.5), 4).tolist() == [0, 0, 0]
    assert binned(np.array([1.0, 1.0 + 1e-12]), 20).tolist() == [0, 19]
    assert binned(np.array([2.0, 1.0]), 1).tolist() == [0, 0]


def test_copies_score_one_and_a_second_copy_takes_a_gap() -> None:
    values = grid(3, 4, 5)
    assert score(np.hstack([values, np.zeros((60, 1))]), truth=factors_of(values))["mig_binned"] == pytest.approx(1)
    twice = np.hstack([values, values[:, :1]])
    assert score(twice, truth=factors_of(values))["mig_binned"] == pytest.approx(2 / 3)


def test_a_rotation_by_half_a_right_angle_leaves_no_gap() -> None:
    values = grid(5, 5)
    turned = values @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    assert score(turned, truth=factors_of(values))["mig_binned"] == pytest.approx(0, abs=1e-12)


def test_noise_scores_no_more_than_the_bias() -> None:
    values = grid(3, 4, 400)[:, :2]
    noise = np.random.default_rng(0).normal(size=(4800, 5))
    assert score(noise, truth=factors_of(values))["mig_binned"] < 19 * 3 / (2 * 4800) / np.log(3)


def test_fewer_bins_than_values_cannot_tell_them_apart() -> None:
    values = grid(40, 3)
    result = score(values * 1.0, truth=factors_of(values), bins=20)
    assert result["mig_binned_per_factor"] == pytest.approx({"f0": np.log(20) / np.log(40), "f1": 1})


def test_only_so_many_rows_are_looked_at() -> None:
    values = grid(2, 1000)[:, :1]
    mean = np.hstack([values, np.zeros_like(values)]) * 1.0
    few, again = (score(mean, truth=factors_of(values), samples=40) for _ in range(2))
    assert few == again
    assert few["mig_binned"] == pytest.approx(1)
    noise = np.random.default_rng(0).normal(size=(2000, 2))
    first, second = (score(noise, truth=factors_of(values), samples=50, seed=seed) for seed in (0, 1))
    assert first["mig_binned"] != second["mig_binned"]


def test_a_discrete_variable_stands_with_its_most_probable_category() -> None:
    values = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.25)
    probabilities[np.arange(300), (values + 1) % 3] = 0.5
    result = score(np.zeros((300, 1)), truth={"v": values}, discrete={"c": probabilities})
    assert result["mig_binned"] == pytest.approx(1)


def test_neither_the_order_of_the_latents_nor_the_scales_matter() -> None:
    values = grid(3, 4, 10)[:, :2]
    mean = np.random.default_rng(0).normal(size=(120, 3)) + values.sum(1, keepdims=True)
    one = score(mean, 0.1, truth=factors_of(values))
    assert one == score(mean[:, [2, 0, 1]], 3.0, truth=factors_of(values))


def test_unknown_values_constants_and_nuisances() -> None:
    values = grid(2, 3, 10)
    known = np.arange(60) % 4 != 0
    mean = np.stack([values[:, 0], values[:, 0] + 3 * values[:, 1]], axis=1) * 1.0
    truth = [
        Truth("constant", np.ones(60, dtype=np.int64), 4),
        Truth("shape", values[:, 0], 2, nuisance=True),
        Truth("x", np.where(known, values[:, 1], UNKNOWN), 3),
    ]
    result = score(mean, truth=truth)
    assert result["mig_binned_per_factor"]["constant"] is None
    assert result["mig_binned_per_factor"]["shape"] == pytest.approx(0, abs=1e-12)
    assert result["mig_binned"] == result["mig_binned_per_factor"]["x"] > 0.8
    only = score(mean, truth=truth[1:2])
    assert only["mig_binned"] is None and "nuisance" in only["mig_binned_why"]


@pytest.mark.parametrize(
    ("dimensions", "truth", "why"),
    [(1, {"v": [0, 1, 0, 1]}, "there is 1"), (2, {"v": [1, 1, 1, 1]}, "two values"), (2, {}, "nothing is known")],
)
def test_null_and_why(dimensions: int, truth: dict[str, list[int]], why: str) -> None:
    result = score(np.zeros((4, dimensions)), truth=truth)
    for key in ("mig_binned", "mig_binned_per_factor"):
        assert result[key] is None and why in result[f"{key}_why"]
