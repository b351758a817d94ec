"""The gap between blocks against a direct sum, one-dimensional quadrature, and blocks made to know something."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from subjects import grid, represented, subject

from hfvae_runner.metrics._gap import Factors
from hfvae_runner.metrics._subject import UNKNOWN, Integers, Representation, Truth
from hfvae_runner.metrics.mig_blocks import NARROWEST, log_ratios, mig_blocks, relative_densities, widened
from hfvae_runner.metrics.mig_exact import mig_exact

KEYS = tuple(f"mig_blocks{part}" for part in ("", "_se", "_per_factor", "_per_factor_se", "_information"))


def factors_of(values: Integers) -> dict[str, Integers]:
    return {f"f{k}": column for k, column in enumerate(values.T)}


def in_blocks(sizes: list[int], *arguments: ArrayLike, **options: Any) -> Representation:
    ends = np.cumsum(sizes)
    blocks = {f"b{g}": slice(int(end - size), int(end)) for g, (size, end) in enumerate(zip(sizes, ends, strict=True))}
    return dataclasses.replace(represented(*arguments, **options), blocks=blocks)


def score(encoded: Representation, samples: int = 1000, seed: int = 0) -> dict[str, Any]:
    return dict(mig_blocks(subject(encoded, seed=seed), samples=samples))


def test_the_densities_are_those_of_a_direct_sum() -> None:
    # More rows and samples than fit a tile, and scales of very different size.
    generator = np.random.default_rng(0)
    rows, samples = 1500, 150
    mean = generator.normal(size=(rows, 3)) * [1, 5, 0.1] + [0, 100, 0]
    scale = np.exp(generator.uniform(-5, 0, (rows, 3)))
    value = generator.integers(0, 3, rows)
    known = generator.random(rows) < 0.7
    factors = Factors.of([Truth("a", value, 3), Truth("b", np.where(known, value, UNKNOWN), 3)])
    groups = factors.groups()
    chosen = generator.permutation(rows)[:samples]
    z = mean[chosen] + scale[chosen] * generator.standard_normal((samples, 3))
    found = log_ratios(relative_densities(z, chosen, mean, scale, groups, iter), chosen, factors, groups)
    table = -(((z[:, None] - mean) / scale) ** 2 / 2 + np.log(scale)).sum(2)
    for s, row in enumerate(chosen):
        same = value == value[row]
        expected = logsumexp(table[s, same]) - np.log(same.sum()) - logsumexp(table[s]) + np.log(rows)
        assert found[s, 0] == pytest.approx(expected, abs=1e-9)
        if known[row]:
            mine = same & known
            expected = logsumexp(table[s, mine]) - np.log(mine.sum()) - logsumexp(table[s, known]) + np.log(known.sum())
            assert found[s, 1] == pytest.approx(expected, abs=1e-9)
        else:
            assert found[s, 1] == 0


def test_a_factor_spread_over_the_dimensions_of_one_block_is_no_loss() -> None:
    values = grid(4, 4, 3)
    turned = values[:, :2] @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    encoded = in_blocks([2, 1], np.hstack([turned, values[:, 2:]]), 0.05, truth=factors_of(values))
    result = score(encoded)
    assert result["mig_blocks"] == pytest.approx(1, abs=1e-6)
    assert result["mig_blocks_information"]["f0"] == pytest.approx({"b0": np.log(4), "b1": 0}, abs=1e-6)
    exact: dict[str, Any] = dict(mig_exact(subject(encoded)))
    assert exact["mig_exact"] < 0.9


def test_a_factor_that_two_blocks_know_has_no_gap() -> None:
    values = grid(4, 4)
    encoded = in_blocks([2, 2], np.hstack([values, values[:, :1], np.zeros((16, 1))]), 0.05, truth=factors_of(values))
    assert score(encoded)["mig_blocks_per_factor"] == pytest.approx({"f0": 0, "f1": 1}, abs=1e-6)


def test_blocks_of_one_dimension_agree_with_quadrature_within_their_errors() -> None:
    generator = np.random.default_rng(2)
    values = grid(3, 4, 100)[:, :2]
    mean = np.hstack([values, values.sum(1, keepdims=True)]) + generator.normal(size=(1200, 3))
    encoded = in_blocks([1, 1, 1], mean, generator.uniform(0.2, 1, mean.shape), truth=factors_of(values))
    exact: dict[str, Any] = dict(mig_exact(subject(encoded)))
    results = [score(encoded, samples=400, seed=seed) for seed in range(40)]
    estimates = np.array([result["mig_blocks"] for result in results])
    errors = np.array([result["mig_blocks_se"] for result in results])
    assert estimates.mean() == pytest.approx(exact["mig_exact"], abs=4 * estimates.std() / np.sqrt(40))
    # A third of the rows is taken, so the errors are a little too large.
    assert 0.7 < errors.mean() / estimates.std(ddof=1) < 1.8
    information = np.mean([result["mig_blocks_information"]["f1"]["b1"] for result in results])
    assert information == pytest.approx(exact["mig_exact_information"]["f1"]["z[1]"], rel=0.02)
    of_factor = np.array([result["mig_blocks_per_factor"]["f0"] for result in results]).std(ddof=1)
    assert 0.7 < np.mean([result["mig_blocks_per_factor_se"]["f0"] for result in results]) / of_factor < 1.8


def test_a_discrete_variable_is_a_block_and_enumerated() -> None:
    values = np.arange(400) % 2
    probabilities = np.where(values == 0, 0.9, 0.1)
    discrete = {"c": np.stack([probabilities, 1 - probabilities], 1)}
    result = score(represented(np.zeros((400, 2)), 1.0, truth={"v": values}, discrete=discrete))
    expected = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    assert result["mig_blocks_information"]["v"] == pytest.approx({"z": 0, "c": expected}, abs=1e-9)
    assert result["mig_blocks"] == pytest.approx(expected / np.log(2))
    assert result["mig_blocks_se"] == pytest.approx(0, abs=1e-9)


def test_a_single_block_has_no_rival() -> None:
    result = score(represented(np.zeros((4, 3)), 1.0, truth={"v": [0, 1, 0, 1]}))
    for key in KEYS:
        assert result[key] is None
        assert result[f"{key}_why"] == "a gap is between two blocks, and there is 1"


def test_constants_nuisances_and_factors_of_which_too_little_is_known() -> None:
    values = grid(2, 3, 10)
    rarely = np.full(60, UNKNOWN)
    rarely[[4, 5]] = [0, 1]
    truth = [
        Truth("constant", np.zeros(60, dtype=np.int64), 4),
        Truth("shape", values[:, 0], 2, nuisance=True),
        Truth("x", values[:, 1], 3),
        Truth("rarely", rarely, 2),
    ]
    mean = np.stack([values[:, 0], values[:, 0] + 10 * values[:, 1]], axis=1)
    encoded = in_blocks([1, 1], mean, 0.05, truth=truth)
    result = score(encoded, samples=20)
    expected = {"constant": None, "shape": 0, "x": 1, "rarely": None}
    assert result["mig_blocks_per_factor"] == pytest.approx(expected, abs=1e-6)
    assert result["mig_blocks"] == pytest.approx(1, abs=1e-6)
    alone = score(dataclasses.replace(encoded, truth=(truth[3],)), samples=20)
    assert alone["mig_blocks"] is None and "two of the samples" in alone["mig_blocks_why"]
    only = score(dataclasses.replace(encoded, truth=(truth[1],)), samples=20)
    for key in KEYS[:2]:
        assert only[key] is None and "nuisance" in only[f"{key}_why"]


def test_more_samples_than_rows_are_all_rows() -> None:
    values = grid(3, 4)
    encoded = in_blocks([1, 1], values * 1.0, 0.4, truth=factors_of(values))
    assert score(encoded, samples=12) == score(encoded, samples=10_000)


def test_same_seed_same_number_and_another_seed_another() -> None:
    values = grid(3, 4, 10)[:, :2]
    encoded = in_blocks([1, 1], values * 1.0, 0.4, truth=factors_of(values))
    assert score(encoded, samples=30, seed=1) == score(encoded, samples=30, seed=1)
    assert score(encoded, samples=30, seed=1) != score(encoded, samples=30, seed=2)


def test_scales_too_narrow_for_the_range_are_widened() -> None:
    mean = np.array([[0.0, 1.0], [2.0, 1.0]])
    assert widened(mean, np.array([[0.0, 0.0], [1.0, 0.5]])).tolist() == [[2 * NARROWEST, 1.0], [1.0, 0.5]]
    values = grid(4, 5)
    result = score(in_blocks([1, 1], values * 1.0, 0.0, truth=factors_of(values)))
    assert result["mig_blocks"] == pytest.approx(1, abs=1e-6)
