"""The gap by quadrature against closed forms, another integrator, and representations made to have a known gap."""

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.special import xlogy
from subjects import grid, represented, subject

from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Truth
from hfvae_runner.metrics.mig_exact import gap_error, mig_exact


def score(*arguments: ArrayLike, **options: Any) -> dict[str, Any]:
    return dict(mig_exact(subject(represented(*arguments, **options))))


def factors_of(values: Integers) -> dict[str, Integers]:
    return {f"f{k}": column for k, column in enumerate(values.T)}


def test_a_representation_that_copies_the_factors_scores_one() -> None:
    values = grid(3, 4, 5)
    noise = np.random.default_rng(0).normal(size=(60, 2)) * 0.001
    scale = [0.02, 0.02, 0.02, 1.0, 1.0]
    result = score(np.hstack([values * [1.0, -3.0, 0.5], noise]), scale, truth=factors_of(values))
    assert result["mig_exact"] == pytest.approx(1, abs=1e-4)
    assert result["mig_exact_per_factor"] == pytest.approx({"f0": 1, "f1": 1, "f2": 1}, abs=1e-4)
    assert result["mig_exact_information"]["f1"]["z[1]"] == pytest.approx(np.log(4), abs=1e-8)


def test_a_second_copy_of_one_code_takes_that_factors_gap() -> None:
    values = grid(3, 4, 5)
    result = score(np.hstack([values, values[:, :1]]), 0.05, truth=factors_of(values))
    assert result["mig_exact"] == pytest.approx(1 - 1 / 3, abs=1e-6)
    assert result["mig_exact_per_factor"] == pytest.approx({"f0": 0, "f1": 1, "f2": 1}, abs=1e-6)


def test_a_rotation_by_half_a_right_angle_leaves_no_gap() -> None:
    values = grid(5, 5)
    turned = values @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    assert score(turned, 0.1, truth=factors_of(values))["mig_exact"] == pytest.approx(0, abs=1e-9)


def test_codes_that_know_nothing_have_no_gap() -> None:
    values = grid(3, 4, 2, 50)[:, :2]
    result = score(np.zeros((1200, 3)), 1.0, truth=factors_of(values))
    assert result["mig_exact"] == 0
    noise = np.random.default_rng(0).normal(size=(1200, 3))
    assert 0 <= score(noise, 1.0, truth=factors_of(values))["mig_exact"] < 0.01


def test_neither_the_order_of_the_latents_nor_that_of_the_rows_matters() -> None:
    generator = np.random.default_rng(1)
    values = grid(3, 4, 10)
    mean, scale = values + generator.normal(size=(120, 3)), generator.uniform(0.1, 2, (120, 3))
    whole = score(mean, scale, truth=factors_of(values))
    turned = score(mean[:, [2, 0, 1]], scale[:, [2, 0, 1]], truth=factors_of(values))
    assert turned["mig_exact_per_factor"] == pytest.approx(whole["mig_exact_per_factor"], abs=1e-12)
    order = generator.permutation(120)
    mixed = score(mean[order], scale[order], truth=factors_of(values[order]))
    assert mixed["mig_exact_per_factor"] == pytest.approx(whole["mig_exact_per_factor"], abs=1e-12)


def test_the_information_of_a_gaussian_channel_has_its_closed_form() -> None:
    # v takes the points of a fine grid, as often as a standard normal variable comes near them.
    v = np.linspace(-4, 4, 161)
    often = np.maximum(np.rint(4000 * np.exp(-(v**2) / 2)), 1).astype(int)
    value = np.repeat(np.arange(161), often)
    noise = 0.5
    result = score(np.stack([v[value], np.zeros(len(value))], axis=1), [noise, 1.0], truth={"v": value})
    variance = (v[value] ** 2).mean()
    expected = np.log(1 + variance / noise**2) / 2
    assert result["mig_exact_information"]["v"]["z[0]"] == pytest.approx(expected, abs=1e-3)
    assert result["mig_exact_information"]["v"]["z[1]"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("distance", "ratio"), [(0.5, 1.0), (2.0, 1.0), (6.0, 1.0), (9.0, 3.0), (3.0, 40.0)])
def test_the_information_of_two_normals_agrees_with_another_integrator(distance: float, ratio: float) -> None:
    def q(z: float, mean: float, scale: float) -> float:
        return float(np.exp(-(((z - mean) / scale) ** 2) / 2) / (scale * np.sqrt(2 * np.pi)))

    def integrand(z: float) -> float:
        one, other = q(z, 0, 1), q(z, distance, ratio)
        whole = (2 * one + other) / 3
        return sum(float(p * (xlogy(each, each) - xlogy(each, whole))) for p, each in ((2 / 3, one), (1 / 3, other)))

    ends = np.unique([-9, 0, distance / 2, distance, 9, distance - 9 * ratio, distance + 9 * ratio])
    expected = sum(quad(integrand, a, b, epsabs=1e-13, limit=500)[0] for a, b in pairwise(ends))
    mean, scale = np.array([[0, 0], [0, 0], [distance, 0]]), np.array([[1, 1], [1, 1], [ratio, 1]])
    result = score(mean, scale, truth={"v": [0, 0, 1]})
    found, error = result["mig_exact_information"]["v"]["z[0]"], result["mig_exact_error"]
    assert found == pytest.approx(expected, abs=1e-8)
    # The error that is stated holds, and is small; only the other integrator's comes on top.
    entropy = np.log(3) - 2 / 3 * np.log(2)
    assert abs(found - expected) <= error * entropy + 1e-12
    assert error < 1e-3


def test_a_discrete_variable_is_enumerated_and_counts_as_a_latent() -> None:
    values = np.arange(400) % 2
    probabilities = np.where(values == 0, 0.9, 0.1)
    result = score(
        np.zeros((400, 1)), 1.0, truth={"v": values}, discrete={"c": np.stack([probabilities, 1 - probabilities], 1)}
    )
    expected = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    assert result["mig_exact_information"]["v"] == pytest.approx({"z[0]": 0, "c": expected}, abs=1e-12)
    assert result["mig_exact"] == pytest.approx(expected / np.log(2))


def test_frequencies_are_those_of_the_rows() -> None:
    # Two values, one three times as frequent, both read off without doubt.
    value = np.array([0, 0, 0, 1] * 5)
    result = score(np.stack([value * 10.0, value * 0.0], axis=1), 0.1, truth={"v": value})
    assert result["mig_exact"] == pytest.approx(1, abs=1e-8)
    assert result["mig_exact_information"]["v"]["z[0]"] == pytest.approx(np.log(4) - 0.75 * np.log(3), abs=1e-8)


def test_rows_of_unknown_value_are_left_out_for_that_factor_alone() -> None:
    generator = np.random.default_rng(3)
    values = grid(3, 4, 20)[:, :2]
    mean, scale = values + generator.normal(size=(240, 2)), np.full((240, 2), 0.4)
    known = generator.random(240) < 0.6
    partly = [Truth("a", np.where(known, values[:, 0], UNKNOWN), 3), Truth("b", values[:, 1], 4)]
    found = score(mean, scale, truth=partly)["mig_exact_per_factor"]
    without = score(mean[known], scale[known], truth={"a": values[known, 0]})["mig_exact_per_factor"]
    whole = score(mean, scale, truth={"b": values[:, 1]})["mig_exact_per_factor"]
    assert found == pytest.approx({**without, **whole}, abs=1e-9)


def test_constants_and_nuisances() -> None:
    values = grid(2, 3)
    truth = [
        Truth("constant", np.zeros(6, dtype=np.int64), 4),
        Truth("shape", values[:, 0], 2, nuisance=True),
        Truth("x", values[:, 1], 3),
    ]
    # Both latents know the nuisance, and one of them the factor.
    result = score(np.stack([values[:, 0], values[:, 0] + 10 * values[:, 1]], axis=1), 0.05, truth=truth)
    assert result["mig_exact_per_factor"] == pytest.approx({"constant": None, "shape": 0, "x": 1}, abs=1e-6)
    assert result["mig_exact"] == pytest.approx(1, abs=1e-6)
    only = score(np.zeros((6, 2)), 1.0, truth=truth[1:2])
    assert only["mig_exact"] is None and "nuisance" in only["mig_exact_why"]
    assert only["mig_exact_error"] is None
    assert only["mig_exact_per_factor"] == {"shape": 0}


@pytest.mark.parametrize(
    ("mean", "truth", "why"),
    [
        (np.zeros((4, 1)), {"v": [0, 1, 0, 1]}, "there is 1"),
        (np.zeros((4, 2)), {"v": [1, 1, 1, 1]}, "two values"),
        (np.zeros((4, 2)), {}, "nothing is known"),
    ],
)
def test_null_and_why(mean: Floats, truth: dict[str, list[int]], why: str) -> None:
    result = score(mean, 1.0, truth=truth)
    for key in ("mig_exact", "mig_exact_error", "mig_exact_per_factor", "mig_exact_information", "mig_exact_widened"):
        assert result[key] is None
        assert why in result[f"{key}_why"]


def test_a_deterministic_code_is_read_without_doubt_and_said_to_be_widened() -> None:
    values = grid(4, 5)
    result = score(values * 1.0, 0.0, truth=factors_of(values))
    assert result["mig_exact"] == pytest.approx(1, abs=1e-6)
    assert result["mig_exact_widened"] == 1
    assert score(values * 1.0, 0.1, truth=factors_of(values))["mig_exact_widened"] == 0


def test_a_dimension_without_any_variance_knows_nothing() -> None:
    values = grid(4, 5)
    mean = np.hstack([values[:, :1] * 1.0, np.full((20, 1), 3.0)])
    result = score(mean, np.array([0.1, 0.0]), truth={"v": values[:, 0]})
    assert result["mig_exact_information"]["v"]["z[1]"] == pytest.approx(0, abs=1e-12)
    assert result["mig_exact"] == pytest.approx(1, abs=1e-5)


def test_the_seed_and_the_samples_do_not_matter() -> None:
    values = grid(3, 4)
    encoded = represented(values * 1.0, 0.3, truth=factors_of(values), seed=0)
    other = dataclasses.replace(encoded, sample=np.zeros_like(encoded.sample))
    assert mig_exact(subject(encoded, seed=0)) == mig_exact(subject(other, seed=5))


def test_the_errors_of_the_two_largest_add_up() -> None:
    information = np.array([[0.5, 0.1], [0.2, 0.4], [0.3, 0.2]])
    error = np.array([[0.01, 0.5], [0.7, 0.02], [0.03, 0.04]])
    assert gap_error(information, error, np.array([1.0, 2.0])) == pytest.approx([0.04, 0.03])
