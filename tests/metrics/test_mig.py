"""The authors' estimator of the gap against a plain one, and against what it converges to."""

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from subjects import grid, represented, subject

from hfvae_runner.metrics._gap import Factors
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Truth
from hfvae_runner.metrics.mig import chosen_rows, mig, sampled_information
from hfvae_runner.metrics.mig_exact import mig_exact

KEYS = ("mig", "mig_sd", "mig_se", "mig_per_factor", "mig_per_factor_se", "mig_widened")


def score(encoded: Representation, samples: int, repeats: int, seed: int = 0) -> dict[str, Any]:
    return dict(mig(subject(encoded, seed=seed), samples=samples, repeats=repeats))


def factors_of(values: Integers) -> dict[str, Integers]:
    return {f"f{k}": column for k, column in enumerate(values.T)}


def some(repeats: int = 20) -> Representation:
    """Two factors, each in a dimension of its own, mixed in a third, and a collapsed one."""
    generator = np.random.default_rng(0)
    values = grid(3, 4, repeats)[:, :2]
    third = values.sum(1, keepdims=True)
    mean = np.hstack([values, third, np.zeros_like(third)]) + 0.1 * generator.normal(size=(len(values), 4))
    return represented(mean, generator.uniform(0.05, 1, mean.shape), truth=factors_of(values))


def plain_entropy(z: Floats, mean: Floats, scale: Floats) -> float:
    """−1/S Σ_s log 1/N Σ_n N(z_s; m_n, s_n)."""
    log_normal = -(((z[:, None] - mean) / scale) ** 2) / 2 - np.log(scale) - np.log(2 * np.pi) / 2
    return float(np.log(len(mean)) - logsumexp(log_normal, axis=1).mean())


@pytest.mark.parametrize("samples", [10_000, 7])
def test_the_estimate_is_that_of_a_plain_implementation_with_the_same_draws(samples: int) -> None:
    generator = np.random.default_rng(1)
    values = grid(3, 4, 15)[:, :2]
    mean = values[:, 0] + generator.normal(size=180)
    scale = np.exp(generator.uniform(-4, 0, 180))
    known = generator.random(180) < 0.8
    truth = [Truth("a", values[:, 0], 3), Truth("b", np.where(known, values[:, 1], UNKNOWN), 4)]
    factors = Factors.of(truth)
    groups = factors.groups()
    seeds = np.array([3, 14])
    found = sampled_information(mean, scale, factors, groups, samples, seeds, 5).information
    for seed, estimate in zip(seeds.tolist(), found, strict=True):
        z = mean + scale * np.random.default_rng([seed, 5]).standard_normal(180)
        rows, group = chosen_rows(groups.members, samples, np.random.default_rng(seed))

        def entropy(g: int, z: Floats = z, rows: Integers = rows, group: Integers = group) -> float:
            members = groups.members[g]
            return plain_entropy(z[rows[group == g]], mean[members], scale[members])

        for f, each in enumerate(truth):
            is_known = each.values != UNKNOWN
            given = 0.0
            for v, g in enumerate(range(groups.values[f].start, groups.values[f].stop)):
                assert groups.members[g].tolist() == np.flatnonzero(each.values == v).tolist()
                given += (each.values == v).sum() / is_known.sum() * entropy(g)
            assert estimate[f] == pytest.approx(entropy(groups.known[f]) - given, abs=1e-6)


def test_rows_are_drawn_without_replacement_and_evenly() -> None:
    members = [np.arange(100), np.arange(100, 130), np.array([130])]
    counts = np.zeros(131)
    for seed in range(400):
        rows, group = chosen_rows(members, 40, np.random.default_rng(seed))
        assert np.bincount(group).tolist() == [40, 30, 1]
        assert len(np.unique(rows)) == len(rows)
        assert all(np.isin(rows[group == g], members[g]).all() for g in range(3))
        counts[rows] += 1
    assert counts[100:].tolist() == [400] * 31
    assert abs(counts[:100] - 160).max() < 5 * np.sqrt(400 * 0.4 * 0.6)


def test_estimates_converge_to_the_exact_gap_at_the_stated_rate() -> None:
    encoded = some(repeats=200)
    exact: dict[str, Any] = dict(mig_exact(subject(encoded)))
    errors = []
    for samples in (25, 100, 400):
        result = score(encoded, samples, 40)
        assert abs(result["mig"] - exact["mig_exact"]) < 4 * result["mig_se"] + 1.0 / samples
        errors.append(result["mig_sd"])
    # Four times the samples, half the error.
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(1, abs=0.5)
    result = score(encoded, 10_000, 40)
    for name, value in exact["mig_exact_per_factor"].items():
        assert result["mig_per_factor"][name] == pytest.approx(value, abs=4 * result["mig_per_factor_se"][name])


def test_the_stated_errors_are_those_of_independent_estimates() -> None:
    encoded = some(repeats=10)
    results = [score(encoded, 50, 5, seed=seed) for seed in range(60)]
    spread = np.std([result["mig"] for result in results], ddof=1)
    assert np.mean([result["mig_se"] for result in results]) == pytest.approx(spread, rel=0.35)
    assert all(result["mig_sd"] == pytest.approx(result["mig_se"] * np.sqrt(5)) for result in results)
    of_factor = np.std([result["mig_per_factor"]["f0"] for result in results], ddof=1)
    stated = np.mean([result["mig_per_factor_se"]["f0"] for result in results])
    assert stated == pytest.approx(of_factor, rel=0.35)


def test_a_representation_that_copies_the_factors_scores_one_and_a_second_copy_takes_a_gap() -> None:
    values = grid(3, 4, 5)
    mean, scale = np.hstack([values, np.zeros((60, 1))]), [0.05, 0.05, 0.05, 1.0]
    result = score(represented(mean, scale, truth=factors_of(values)), 10_000, 2)
    # With all rows of every group, and the same draw of each in all of them, nothing is left to chance here.
    assert result["mig"] == pytest.approx(1, abs=1e-6)
    twice = represented(np.hstack([values, values[:, :1]]), 0.05, truth=factors_of(values))
    assert score(twice, 10_000, 2)["mig"] == pytest.approx(2 / 3, abs=1e-6)


def test_codes_that_know_nothing_score_almost_nothing() -> None:
    encoded = represented(np.zeros((1200, 3)), 1.0, truth=factors_of(grid(3, 4, 100)[:, :2]))
    result = score(encoded, 200, 10)
    assert 0 <= result["mig"] < 0.1
    assert score(encoded, 10_000, 10)["mig"] == pytest.approx(0, abs=1e-9)


def test_same_seed_same_number_and_another_seed_another() -> None:
    encoded = some()
    one, again = (score(encoded, 30, 3, seed=1) for _ in range(2))
    assert one == again
    assert one["mig"] != score(encoded, 30, 3, seed=2)["mig"]


def test_discrete_variables_are_enumerated_without_any_spread() -> None:
    values = np.arange(400) % 2
    probabilities = np.where(values == 0, 0.9, 0.1)
    encoded = represented(
        np.zeros((400, 0)),
        truth={"v": values},
        discrete={"c": np.stack([probabilities, 1 - probabilities], 1), "d": np.full((400, 3), 1 / 3)},
    )
    result = score(encoded, 10, 3)
    expected = 1 + (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    assert result["mig"] == pytest.approx(expected)
    assert result["mig_se"] == pytest.approx(0, abs=1e-15) and result["mig_widened"] == 0


def test_a_single_repeat_has_no_spread() -> None:
    result = score(some(), 30, 1)
    assert 0 <= result["mig"] <= 1
    for key in ("mig_sd", "mig_se", "mig_per_factor_se"):
        assert result[key] is None and "two repeats" in result[f"{key}_why"]


def test_constants_and_nuisances() -> None:
    values = grid(2, 3, 10)
    truth = [
        Truth("constant", np.zeros(60, dtype=np.int64), 4),
        Truth("shape", values[:, 0], 2, nuisance=True),
        Truth("x", values[:, 1], 3),
    ]
    mean = np.stack([values[:, 0], values[:, 0] + 10 * values[:, 1]], axis=1)
    result = score(represented(mean, 0.05, truth=truth), 100, 2)
    assert result["mig_per_factor"] == pytest.approx({"constant": None, "shape": 0, "x": 1}, abs=1e-6)
    assert result["mig"] == pytest.approx(1, abs=1e-6)
    only = score(represented(mean, 0.05, truth=truth[1:2]), 100, 2)
    for key in ("mig", "mig_sd", "mig_se"):
        assert only[key] is None and "nuisance" in only[f"{key}_why"]
    assert only["mig_per_factor"] == pytest.approx({"shape": 0}, abs=1e-6)


@pytest.mark.parametrize(
    ("dimensions", "truth", "why"),
    [(1, {"v": [0, 1, 0, 1]}, "there is 1"), (2, {"v": [1, 1, 1, 1]}, "two values"), (2, {}, "nothing is known")],
)
def test_null_and_why(dimensions: int, truth: dict[str, list[int]], why: str) -> None:
    result = score(represented(np.zeros((4, dimensions)), 1.0, truth=truth), 2, 2)
    for key in KEYS:
        assert result[key] is None
        assert why in result[f"{key}_why"]


def test_a_deterministic_code_is_read_without_doubt_and_said_to_be_widened() -> None:
    values = grid(4, 5)
    result = score(represented(values * 1.0, 0.0, truth=factors_of(values)), 10_000, 2)
    assert result["mig"] == pytest.approx(1, abs=1e-6)
    assert result["mig_widened"] == 1
