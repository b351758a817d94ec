"""Explicitness of codes whose ROC curves are known, and where it does not exist."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from subjects import grid, represented, subject

from hfvae_runner.metrics._subject import Floats, Integers, Representation, Truth
from hfvae_runner.metrics.explicitness import explicitness, standardised, value_score

Known = Mapping[str, ArrayLike] | Sequence[Truth]


def measured(
    encoded: Representation, train_rows: int = 10_000, test_rows: int = 5_000, iterations: int = 100, seed: int = 0
) -> dict[str, Any]:
    result = explicitness(
        subject(encoded, seed=seed), train_rows=train_rows, test_rows=test_rows, iterations=iterations
    )
    json.dumps(result, allow_nan=False)
    return dict(result)


def shuffled(*sizes: int, times: int = 1) -> Integers:
    return np.random.default_rng(0).permutation(np.tile(grid(*sizes), (times, 1)))


def test_the_score_is_the_share_of_pairs_in_the_right_order() -> None:
    generator = np.random.default_rng(0)
    code = generator.normal(size=(80, 1))
    is_value = code[:, 0] + generator.normal(size=80) > 0.5
    train, test = standardised(code[:40], code[40:])
    score = value_score(train, is_value[:40], test, is_value[40:], iterations=100)
    # With one column the regression orders the examples as the column does.
    pairs = [(a > b) + (a == b) / 2 for a in code[40:][is_value[40:], 0] for b in code[40:][~is_value[40:], 0]]
    assert score is not None
    assert score.converged
    assert score.auc == pytest.approx(np.mean(pairs))


def test_codes_are_standardised_by_the_training_rows() -> None:
    generator = np.random.default_rng(1)
    code = generator.normal(size=(50, 3)) * [1, 1e-200, 1e6] + [0, 0, 1e7]
    code[:30, 1] = 0.1
    train, test = standardised(code[:30], code[30:])
    assert train.shape == (30, 2), "a column that is constant where it is fitted is left out"
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(train.std(0), 1)
    kept = code[:, [0, 2]]
    np.testing.assert_allclose(test, (kept[30:] - kept[:30].mean(0)) / kept[:30].std(0), rtol=1e-6)
    tiny = standardised(code[:30, :1] * 1e-200, code[30:, :1])[0]
    np.testing.assert_allclose(tiny, train[:, :1])


def test_a_code_of_its_own_for_each_value_is_explicit() -> None:
    values = shuffled(3, 4, times=50)
    one_hot = np.hstack([np.eye(3)[values[:, 0]], np.eye(4)[values[:, 1]]])
    truth = dict(zip("ab", values.T, strict=True))
    result = measured(represented(one_hot, truth=truth))
    assert result == {
        "explicitness": pytest.approx(1),
        "explicitness_rescaled": pytest.approx(1),
        "explicitness_per_factor": {"a": pytest.approx(1), "b": pytest.approx(1)},
    }
    rotated = one_hot @ np.linalg.qr(np.random.default_rng(1).normal(size=(7, 7)))[0]
    assert measured(represented(rotated, truth=truth))["explicitness"] == pytest.approx(1)


def test_discrete_variables_are_read_by_their_probabilities() -> None:
    values = shuffled(3, 4, times=50)
    encoded = represented(np.zeros((600, 1)), truth={"a": values[:, 0]}, discrete={"c": np.eye(3)[values[:, 0]]})
    assert measured(encoded)["explicitness"] == pytest.approx(1)
    assert measured(
        represented(np.empty((600, 0)), truth={"a": values[:, 0]}, discrete={"c": np.eye(3)[values[:, 0]]})
    )["explicitness"] == pytest.approx(1)


def test_a_factor_copied_into_one_dimension_has_the_auc_of_its_order() -> None:
    # Value k of V in order: a linear score rises or falls, and max(k, V−1−k) of the V−1 others are on the better side.
    values = np.tile(np.arange(4), 500)
    result = measured(represented(values[:, None], truth={"a": values}), train_rows=1200, test_rows=800)
    assert result["explicitness"] == pytest.approx(np.mean([1, 2 / 3, 2 / 3, 1]))
    assert result["explicitness_rescaled"] == pytest.approx(2 * 5 / 6 - 1)


def test_noise_and_nothing_at_all_are_at_chance() -> None:
    values = shuffled(4, 5, times=300)
    truth = dict(zip("ab", values.T, strict=True))
    noise = np.random.default_rng(3).normal(size=(6000, 5))
    result = measured(represented(noise, truth=truth))
    assert result["explicitness"] == pytest.approx(0.5, abs=0.02)
    assert result["explicitness_rescaled"] == pytest.approx(2 * result["explicitness"] - 1)
    constant = measured(represented(np.full((6000, 5), 0.1), truth=truth))
    assert (constant["explicitness"], constant["explicitness_rescaled"]) == (0.5, 0)


def test_the_mean_is_over_values_and_then_over_factors_without_nuisance() -> None:
    values = shuffled(2, 4, times=200)
    code = np.hstack([np.eye(2)[values[:, 0]], values[:, 1:]])
    a, b = Truth("a", values[:, 0], 2), Truth("b", values[:, 1], 4)
    both = measured(represented(code, truth=[a, b]))
    assert both["explicitness_per_factor"]["a"] == pytest.approx(1)
    assert both["explicitness_per_factor"]["b"] < 0.95
    assert both["explicitness"] == pytest.approx(np.mean(list(both["explicitness_per_factor"].values())))
    without = measured(represented(code, truth=[a, Truth("b", values[:, 1], 4, nuisance=True)]))
    assert without["explicitness"] == pytest.approx(1)
    assert without["explicitness_per_factor"] == both["explicitness_per_factor"]
    nothing_left = measured(represented(code, truth=[Truth("b", values[:, 1], 4, nuisance=True)]))
    assert nothing_left["explicitness"] is None
    assert "nuisance" in nothing_left["explicitness_why"]
    assert nothing_left["explicitness_per_factor"] == {"b": both["explicitness_per_factor"]["b"]}


def test_the_first_rows_fit_and_the_next_ones_score() -> None:
    values = np.tile([0, 1], 300)
    code = np.where(np.arange(600) < 400, values, 1 - values)[:, None] + 0.0
    code[500:] = np.random.default_rng(4).normal(size=(100, 1))
    encoded = represented(code, truth={"a": values})
    assert measured(encoded, train_rows=400, test_rows=100)["explicitness"] == 0, "what was learned is now wrong"
    assert measured(encoded, train_rows=200, test_rows=100)["explicitness"] == 1
    # Of too few, both have their share: 400 and 200.
    proportion = measured(encoded, train_rows=4000, test_rows=2000)
    assert proportion == measured(encoded, train_rows=400, test_rows=200)


def test_values_that_are_missing_on_one_side_are_left_out() -> None:
    # In the training rows 0, 1, 2; in the test rows 0, 1, 3.
    values = np.concatenate([np.tile([0, 1, 2], 20), np.tile([0, 1, 3], 10)])
    encoded = represented(np.eye(4)[values], truth={"a": values})
    result = measured(encoded, train_rows=60, test_rows=30)
    # 0 and 1 are told from all others, those never seen included.
    assert result["explicitness"] == pytest.approx(1)
    only_one = np.concatenate([np.tile([0, 1], 20), np.full(20, 1)])
    result = measured(represented(np.eye(2)[only_one], truth={"a": only_one}), train_rows=40, test_rows=20)
    assert result["explicitness"] is None
    assert result["explicitness_per_factor"] == {"a": None}
    assert "two values" in result["explicitness_why"] and "two values" in result["explicitness_rescaled_why"]


def test_unknown_values_are_left_out() -> None:
    values = shuffled(3, times=100)[:, 0]
    code = np.eye(3)[values]
    spoilt = values.copy()
    spoilt[::4] = -1
    code[::4] = code[::4][::-1]
    result = measured(represented(code, truth=[Truth("a", spoilt, 3), Truth("b", np.full(300, -1), 3)]))
    assert result["explicitness"] == pytest.approx(1)
    assert result["explicitness_per_factor"]["b"] is None


def test_a_permutation_of_the_variables_changes_nothing_and_neither_does_the_seed() -> None:
    values = shuffled(3, 5, times=100)
    code = values @ np.random.default_rng(5).normal(size=(2, 4)) + np.random.default_rng(6).normal(size=(1500, 4))
    truth = dict(zip("ab", values.T, strict=True))
    expected = measured(represented(code, truth=truth))
    assert measured(represented(code, truth=truth), seed=9) == expected
    permuted = measured(represented(code[:, [2, 0, 3, 1]] * [1, -3, 1e-5, 1e5], truth=truth))
    assert permuted["explicitness"] == pytest.approx(expected["explicitness"], abs=1e-4)


def test_regressions_that_do_not_converge_are_counted() -> None:
    values = shuffled(3, times=100)[:, 0]
    encoded = represented(values[:, None] + np.random.default_rng(7).normal(size=(300, 1)), truth={"a": values})
    assert "explicitness_note" not in measured(encoded)
    few = measured(encoded, iterations=1)
    assert few["explicitness_note"] == "3 of 3 regressions did not converge in 1 iterations"
    assert 0 <= few["explicitness"] <= 1


@pytest.mark.parametrize(
    ("means", "truth", "why"),
    [
        (grid(2, 2), {}, "nothing is known"),
        (np.ones((1, 2)), {"a": [0]}, "there are 1"),
    ],
)
def test_where_it_is_not_defined_it_says_why(means: Floats, truth: Known, why: str) -> None:
    result = measured(represented(means, truth=truth))
    for key in ("explicitness", "explicitness_rescaled", "explicitness_per_factor"):
        assert result[key] is None
        assert why in result[f"{key}_why"]
