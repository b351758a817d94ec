"""The interventional robustness score against its definition as a plain loop, and codes of known robustness."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from subjects import grid, represented, subject

from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import Columns
from hfvae_runner.metrics._subject import Floats, Integers, Representation, Truth
from hfvae_runner.metrics.irs import irs, robustness

Known = Mapping[str, ArrayLike] | Sequence[Truth]


def measured(
    encoded: Representation,
    quantile: float = 1.0,
    weights: Literal["deviation", "variance"] = "deviation",
    seed: int = 0,
) -> dict[str, Any]:
    result = dict(irs(subject(encoded, seed=seed), quantile=quantile, weights=weights))
    json.dumps(result, allow_nan=False)
    return result


def named(values: Integers) -> dict[str, Integers]:
    return dict(zip("abcdefg", values.T, strict=False))


def single(z: Floats) -> Columns:
    """Each column a variable."""
    return Columns(z, np.arange(z.shape[1]))


def by_definition(z: Floats, factors: Integers, quantile: float) -> tuple[Floats, Floats]:
    """IRS_ij, a group and a combination after the other, and the largest deviation of each column."""

    def given(fixed: dict[int, int]) -> Floats:
        return np.asarray(z[[all(row[j] == value for j, value in fixed.items()) for row in factors]].mean(axis=0))

    combinations = sorted(set(map(tuple, factors.tolist())))
    means = {g: given(dict(enumerate(g))) for g in combinations}
    deviation = np.max([abs(means[g] - z.mean(axis=0)) for g in combinations], axis=0)
    result = np.empty((z.shape[1], factors.shape[1]))
    for j in range(factors.shape[1]):
        disagreement = 0
        for value in set(factors[:, j].tolist()):
            centre = given({j: value})
            distances = [abs(centre - means[g]) for g in combinations if g[j] == value]
            disagreement += np.mean(factors[:, j] == value) * np.quantile(distances, quantile, axis=0)
        result[:, j] = 1 - disagreement / deviation
    return result, np.asarray(deviation)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.99, 0.5]), st.booleans())
def test_it_is_the_definition_on_a_grid_and_on_any_rows(seed: int, quantile: float, whole: bool) -> None:
    generator = np.random.default_rng(seed)
    factors = grid(3, 2, 4) if whole else generator.integers(0, [3, 2, 4], (40, 3))
    z = factors @ generator.normal(size=(3, 5)) + generator.normal(size=(len(factors), 5))
    expected, deviation = by_definition(z, factors, quantile)
    found = robustness(single(z), factors, quantile=quantile)
    assert found.moved.all()
    np.testing.assert_allclose(found.irs, expected, atol=1e-12)
    np.testing.assert_allclose(found.deviation, deviation)
    assert (found.irs <= 1).all()
    result = measured(represented(z, truth=named(factors)), quantile)
    assert result["irs"] == pytest.approx(np.average(expected.max(1), weights=deviation))
    assert list(result["irs_per_variable"].values()) == pytest.approx(expected.max(1).tolist())


def test_a_copy_of_the_factors_is_robust_in_any_order() -> None:
    factors = grid(3, 4, 5)
    z = np.sin(factors * [1.0, 0.3, 2.0])
    for order in ([0, 1, 2], [2, 0, 1]):
        assert measured(represented(z[:, order], truth=named(factors)))["irs"] == pytest.approx(1)
    # A copy of one of them is as robust: the score does not ask for all factors.
    assert measured(represented(z[:, [0, 0, 1]], truth=named(factors)))["irs"] == pytest.approx(1)


def test_a_sum_of_two_factors_is_robust_for_neither() -> None:
    # ±1 each: held at one, the other moves it by 1 of 2.
    factors = grid(2, 2)
    z = (2 * factors - 1).sum(1, keepdims=True)
    assert measured(represented(z, truth=named(factors)))["irs"] == pytest.approx(1 / 2)


def test_a_product_of_two_signs_is_not_robust_at_all() -> None:
    factors = grid(2, 2)
    z = (2 * factors - 1).prod(1, keepdims=True)
    assert measured(represented(z, truth=named(factors)))["irs"] == pytest.approx(0)


def test_uniform_noise_scores_what_the_quantile_leaves() -> None:
    generator = np.random.default_rng(0)
    factors = grid(200, 200)
    uniform = generator.uniform(-1, 1, (40_000, 20))
    # Distances are uniform in 0..1, in a group as in all: their quantile is itself.
    for quantile in (0.5, 0.9, 1.0):
        result = measured(represented(uniform, truth=named(factors)), quantile)
        assert result["irs"] == pytest.approx(1 - quantile, abs=0.03)


def test_the_weights_of_the_mean() -> None:
    factors = grid(2, 2)
    # Robust and between ±3; not robust and between ±1.
    z = (2 * factors - 1) @ np.array([[3.0, 0], [0, 0]])
    z[:, 1] = (2 * factors - 1).prod(1)
    encoded = represented(z, truth=named(factors))
    assert measured(encoded)["irs"] == pytest.approx(3 / 4)
    assert measured(encoded, weights="variance")["irs"] == pytest.approx(9 / 10)


def test_values_weigh_by_how_often_they_occur() -> None:
    # Of a = 0 there are 4 rows that b moves by ±1, of a = 1 two rows that it does not; the mean of all is 0.
    factors = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 1]])
    z = np.array([[-1.0], [-1], [1], [1], [0], [0]])
    found = robustness(single(z), factors, quantile=1.0)
    np.testing.assert_allclose(found.irs, [[1 - 4 / 6, 1 - (3 * (2 / 3) + 3 * (2 / 3)) / 6]])


def test_repeated_combinations_count_by_their_mean() -> None:
    factors = np.repeat(grid(3, 3), 50, axis=0)
    noise = np.random.default_rng(1).normal(size=(9, 50, 1))
    noise -= noise.mean(axis=1, keepdims=True)
    z = factors[:, :1] + noise.reshape(-1, 1)
    assert measured(represented(z, truth=named(factors)))["irs"] == pytest.approx(1)
    only_noise = measured(represented(noise.reshape(-1, 1), truth=named(factors)))
    assert only_noise["irs"] is None, "what is left is rounding"


def test_a_collapsed_variable_has_no_score_and_no_weight() -> None:
    factors = grid(3, 3)
    z = np.hstack([factors, np.full((9, 1), 0.1), np.full((9, 1), 1e6)])
    result = measured(represented(z, truth=named(factors)))
    assert result["irs"] == pytest.approx(1)
    assert result["irs_per_variable"] == {"z[0]": 1, "z[1]": 1, "z[2]": None, "z[3]": None}


def test_a_discrete_variable_moves_by_the_total_variation() -> None:
    factors = grid(2, 2)
    certain = np.eye(2)[factors[:, 0]]
    encoded = represented(factors[:, 1:] * 2.0, truth=named(factors), discrete={"c": certain})
    result = measured(encoded)
    assert result == {"irs": 1, "irs_per_variable": {"z[0]": 1, "c": 1}}
    # Moved by b alone: from (1, 0) to (0, 1), each half a variation from the mean (½, ½).
    found = robustness(Columns(certain / 2, np.array([0])), factors, quantile=1.0)
    assert found.deviation == pytest.approx([0.5])
    assert found.variance == pytest.approx([2 * (1 / 4) ** 2])
    np.testing.assert_allclose(found.irs, [[1, 0]])
    # Beside it one that is moved as far, by a half, and is not robust at all: half of the weight is each one's.
    signs = (2 * factors - 1).prod(1, keepdims=True) / 2
    beside = represented(signs, truth=named(factors), discrete={"c": certain})
    assert measured(beside)["irs"] == pytest.approx(1 / 2)
    three = np.random.default_rng(2).dirichlet(np.ones(3), 4)
    expected = by_definition(three @ [[1.0], [0], [0]], factors, 1.0)[0].max()
    # Of two categories the second follows from the first, so that the variation is the change of the first.
    two = np.stack([three[:, 0], 1 - three[:, 0]], axis=1)
    only = represented(np.empty((4, 0)), truth=named(factors), discrete={"c": two})
    assert measured(only)["irs"] == pytest.approx(expected)


def test_rows_with_an_unknown_factor_are_left_out() -> None:
    factors = np.vstack([grid(3, 3), grid(3, 3)])
    z = factors.astype(float)
    z[9:] = z[9:, ::-1] ** 2
    assert measured(represented(z, truth=named(factors)))["irs"] < 0.9
    factors[9:14, 0] = -1
    factors[14:, 1] = -1
    truth = [Truth(name, column, 3) for name, column in named(factors).items()]
    assert measured(represented(z, truth=truth))["irs"] == pytest.approx(1)
    # A factor that is never known is none.
    truth.append(Truth("never", np.full(18, -1), 3))
    assert measured(represented(z, truth=truth))["irs"] == pytest.approx(1)


def test_factors_of_one_value_change_nothing_and_nuisance_takes_part() -> None:
    factors = grid(1, 3, 3)
    z = factors[:, 1:] @ np.random.default_rng(3).normal(size=(2, 4))
    assert measured(represented(z, truth=named(factors))) == measured(represented(z, truth=named(factors[:, 1:])))
    nuisance = [Truth(name, column, 3, nuisance=True) for name, column in named(factors).items()]
    assert measured(represented(z, truth=nuisance)) == measured(represented(z, truth=named(factors)))


def test_many_factors_whose_combinations_are_beyond_an_integer() -> None:
    generator = np.random.default_rng(4)
    factors = generator.integers(0, 2, (50, 70))
    z = factors[:, :1].astype(np.float64)
    assert robustness(single(z), factors, quantile=1.0).irs[0, 0] == pytest.approx(1)


def test_a_quantile_beyond_1_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"metrics\.irs\.quantile=1\.5: expected a number from 0 to 1"):
        measured(represented(grid(2, 2), truth=named(grid(2, 2))), quantile=1.5)


@pytest.mark.parametrize(
    ("means", "truth", "why"),
    [
        (grid(2, 2), {}, "0 vary"),
        (grid(2, 2), {"a": [0, 0, 1, 1]}, "1 vary"),
        (grid(2, 2), [Truth("a", np.full(4, -1), 2), Truth("b", np.array([0, 1, 0, 1]), 2)], "1 vary"),
        (grid(2, 2), [Truth("a", np.array([0, 1, -1, -1]), 2), Truth("b", np.array([-1, -1, 0, 1]), 2)], "0 vary"),
        (np.full((4, 2), 0.1), {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}, "no factor moves"),
        (np.ones((1, 2)), {"a": [0], "b": [1]}, "0 vary"),
    ],
)
def test_where_it_is_not_defined_it_says_why(means: Floats, truth: Known, why: str) -> None:
    result = measured(represented(means, truth=truth))
    for key in ("irs", "irs_per_variable"):
        assert result[key] is None
        assert why in result[f"{key}_why"]
