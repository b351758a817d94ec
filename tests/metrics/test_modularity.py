"""Modularity against its definition written out, codes of known information, and where it does not exist."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.metrics import mutual_info_score
from subjects import grid, represented, subject

from hfvae_runner.metrics._subject import Floats, Representation, Truth
from hfvae_runner.metrics.modularity import modularity, modularity_of

Known = Mapping[str, ArrayLike] | Sequence[Truth]


def measured(encoded: Representation, bins: int = 20, rows: int = 10**6, seed: int = 0) -> dict[str, Any]:
    result = dict(modularity(subject(encoded, seed=seed), bins=bins, rows=rows))
    json.dumps(result, allow_nan=False)
    return result


def by_definition(information: Floats) -> float:
    """1 − δ of one variable, with its template."""
    template = np.zeros(len(information))
    template[np.argmax(information)] = max(information)
    deviation = sum((m - t) ** 2 for m, t in zip(information, template, strict=True))
    return float(1 - deviation / (max(information) ** 2 * (len(information) - 1)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 5), st.floats(1e-3, 1e3))
def test_every_variable_has_the_papers_deviation(seed: int, variables: int, factors: int, unit: float) -> None:
    information = np.random.default_rng(seed).random((variables, factors))
    expected = [by_definition(row) for row in information]
    assert modularity_of(information) == pytest.approx(expected)
    assert modularity_of(unit * information) == pytest.approx(expected)


def test_known_values_of_one_variable() -> None:
    information = np.array([[2.0, 0, 0], [1, 1, 1], [2, 1, 0], [0, 0, 0]])
    assert modularity_of(information) == [1, 0, pytest.approx(1 - 1 / 8), None]


def test_a_copy_of_the_factors_is_modular_and_so_is_one_among_noiseless_constants() -> None:
    values = grid(3, 4, 5)
    truth = {"shape": values[:, 0], "x": values[:, 1], "y": values[:, 2]}
    result = measured(represented(np.hstack([values * [2.0, -1, 0.1], np.full((60, 1), 0.3)]), truth=truth))
    assert result["modularity"] == pytest.approx(1)
    assert result["modularity_per_variable"] == {
        **{f"z[{d}]": pytest.approx(1) for d in range(3)},
        "z[3]": None,  # without information, left out of the mean
    }


def test_two_copies_of_one_factor_are_still_modular() -> None:
    values = grid(4, 4)
    truth = {"x": values[:, 0], "y": values[:, 1]}
    assert measured(represented(values[:, [0, 0]], truth=truth))["modularity"] == pytest.approx(1)


def test_a_rotation_of_two_factors_is_not_modular() -> None:
    values = grid(10, 10) - 4.5
    truth = {"x": grid(10, 10)[:, 0], "y": grid(10, 10)[:, 1]}
    rotated = values @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    # Both variables know as much of the one as of the other.
    assert measured(represented(rotated, truth=truth))["modularity"] == pytest.approx(0, abs=1e-9)


def test_noise_is_scored_by_its_bias_as_documented() -> None:
    generator = np.random.default_rng(0)
    truth = {name: generator.integers(0, 100, 200_000) for name in "ab"}
    noise = generator.uniform(size=(200_000, 10))
    # m of noise is chi-squared of 19·99 degrees: of two, the smaller over the larger is near 1, and so δ is.
    result = measured(represented(noise, truth=truth))
    assert 0 < result["modularity"] < 0.15
    # Of unequal numbers of values, the information is as (V − 1): here 10 and 1.
    truth = {"a": generator.integers(0, 101, 200_000), "b": generator.integers(0, 11, 200_000)}
    assert measured(represented(noise, truth=truth))["modularity"] == pytest.approx(1 - 0.1**2, abs=0.01)


def test_the_whole_metric_is_the_loop_over_variables_and_factors() -> None:
    generator = np.random.default_rng(1)
    values = generator.integers(0, [3, 6, 2], (400, 3))
    means = values @ generator.normal(size=(3, 4)) + generator.normal(size=(400, 4))
    result = measured(represented(means, truth={"a": values[:, 0], "b": values[:, 1], "c": values[:, 2]}), bins=9)
    for d in range(4):
        edges = np.linspace(means[:, d].min(), means[:, d].max(), 10)
        bins = np.digitize(means[:, d], edges[1:-1])
        information = np.array([mutual_info_score(bins, values[:, j]) for j in range(3)])
        assert result["modularity_per_variable"][f"z[{d}]"] == pytest.approx(by_definition(information))
    assert result["modularity"] == pytest.approx(np.mean(list(result["modularity_per_variable"].values())))


def test_a_permutation_of_the_variables_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    values = grid(4, 4, 4)
    means = values @ generator.normal(size=(3, 5))
    truth = dict(zip("abc", values.T, strict=True))
    order = [3, 1, 4, 0, 2]
    straight, permuted = (measured(represented(each, truth=truth)) for each in (means, means[:, order]))
    assert straight["modularity"] == pytest.approx(permuted["modularity"])
    assert permuted["modularity_per_variable"]["z[0]"] == straight["modularity_per_variable"]["z[3]"]


def test_a_discrete_variable_counts_by_its_probabilities() -> None:
    values = grid(3, 4)
    truth = {"a": values[:, 0], "b": values[:, 1]}
    certain, sure_of_nothing = np.eye(3)[values[:, 0]], np.full((12, 3), 1 / 3)
    encoded = represented(values[:, 1:], truth=truth, discrete={"c": certain, "d": sure_of_nothing})
    assert measured(encoded)["modularity_per_variable"] == {"z[0]": pytest.approx(1), "c": pytest.approx(1), "d": None}
    # One that depends on both, by the sums of the definition.
    q = np.random.default_rng(0).dirichlet(np.ones(3), (3, 4))
    marginal = q.mean((0, 1))
    information = [np.mean([(p * np.log(p / marginal)).sum() for p in q.mean(axis=axis)]) for axis in (1, 0)]
    mixed = represented(values[:, 1:], truth=truth, discrete={"c": q.reshape(12, 3)})
    assert measured(mixed)["modularity_per_variable"]["c"] == pytest.approx(by_definition(np.array(information)))


def test_only_discrete_variables() -> None:
    values = grid(3, 4)
    encoded = represented(
        np.empty((12, 0)), truth=dict(zip("ab", values.T, strict=True)), discrete={"c": np.eye(4)[values[:, 1]]}
    )
    assert measured(encoded)["modularity"] == pytest.approx(1)


def test_unknown_values_are_left_out_factor_by_factor() -> None:
    values = grid(4, 4)
    values = np.vstack([values, values])
    means = values.astype(float)
    truth = {"a": values[:, 0].copy(), "b": values[:, 1].copy()}
    full = measured(represented(means, truth=truth))
    # The factors change places, but of whose examples nothing is known: that changes nothing.
    means[16:] = means[16:, ::-1]
    assert measured(represented(means, truth=truth))["modularity"] < full["modularity"]
    truth["a"][16:] = truth["b"][16:] = -1
    assert measured(represented(means, truth=truth))["modularity"] == pytest.approx(full["modularity"])


def test_the_rows_limit_the_examples() -> None:
    values = np.vstack([grid(4, 4), grid(4, 4)])
    means = values.astype(float)
    means[16:] = means[16:, ::-1]
    truth = dict(zip("ab", values.T, strict=True))
    assert measured(represented(means, truth=truth))["modularity"] < 0.99
    assert measured(represented(means, truth=truth), rows=16)["modularity"] == pytest.approx(1)


def test_factors_of_nuisance_take_part() -> None:
    values = grid(3, 4)
    a, b = (Truth(name, column, 4, nuisance=name == "a") for name, column in zip("ab", values.T, strict=True))
    both = values.sum(1, keepdims=True)
    assert measured(represented(both, truth=[a, b]))["modularity"] < 0.9


@pytest.mark.parametrize(
    ("means", "truth", "why"),
    [
        (grid(2, 2), {}, "there are 0"),
        (grid(2, 2), {"a": [0, 0, 1, 1]}, "there are 1"),
        (grid(2, 2), {"a": [0, 0, 1, 1], "b": [0, 0, 0, 0]}, "there are 1"),
        (grid(2, 2), [Truth("a", np.full(4, -1), 3), Truth("b", np.array([-1, -1, 2, 2]), 3)], "there are 0"),
        (np.full((4, 2), 0.1), {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}, "no latent variable"),
        (np.ones((1, 2)), {"a": [0], "b": [1]}, "there are 0"),
    ],
)
def test_where_it_is_not_defined_it_says_why(means: Floats, truth: Known, why: str) -> None:
    result = measured(represented(means, truth=truth))
    for key in ("modularity", "modularity_per_variable"):
        assert result[key] is None
        assert why in result[f"{key}_why"]
