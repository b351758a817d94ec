"""The mean correlation coefficient: known answers, and scipy's own correlations."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr
from subjects import factors, represented, subject, truths

from hfvae_runner.metrics import UNKNOWN, Representation, Truth
from hfvae_runner.metrics.mcc import assigned, mcc


def measured(
    encoded: Representation, train: Representation | None = None, *, linear_map: bool = False
) -> dict[str, Any]:
    return dict(mcc(subject(encoded, train=train), linear_map=linear_map))


def test_copies_in_another_order_with_other_signs_and_units() -> None:
    values = factors(3, 4, 5)
    code = np.hstack([np.ones((60, 1)), -2 * values[:, [2]] + 7, values[:, :1] * 1e-6, np.exp(values[:, [1]])])
    result = measured(represented(code, truth=truths(values)))
    assert result["mcc_spearman"] == pytest.approx(1)
    assert result["mcc_assignment"] == {"shape": "z[2]", "size": "z[3]", "x": "z[1]"}
    assert result["mcc_pearson_per_factor"] == pytest.approx(
        {"shape": 1, "size": result["mcc_pearson"] * 3 - 2, "x": 1}
    )
    assert 0.6 < result["mcc_pearson"] < 1


def test_the_correlations_are_scipy_s() -> None:
    values = factors(3, 4, 5, repeats=2)
    code = values @ np.random.default_rng(0).standard_normal((3, 3)) + np.random.default_rng(1).standard_normal(
        (120, 3)
    )
    result = measured(represented(code, truth=truths(values)))
    for kind, function in (("pearson", pearsonr), ("spearman", spearmanr)):
        table = [[abs(function(z, factor)[0]) for z in code.T] for factor in values.T]
        best = max(itertools.permutations(range(3)), key=lambda order: sum(table[k][d] for k, d in enumerate(order)))
        assert result[f"mcc_{kind}"] == pytest.approx(np.mean([table[k][d] for k, d in enumerate(best)]))


@given(st.integers(1, 4).flatmap(lambda f: arrays(float, (f, 3), elements=st.floats(0, 1))))
def test_no_other_assignment_is_better(table: Any) -> None:
    column, found = assigned(table)
    used = column[column >= 0].tolist()
    assert len(used) == len(set(used)) == min(len(table), 3)
    columns = [*range(3), *[None] * len(table)]
    best = max(
        sum(table[k, d] for k, d in enumerate(order) if d is not None)
        for order in itertools.permutations(columns, len(table))
    )
    assert found.sum() == pytest.approx(best)


def test_a_factor_without_a_latent_counts_as_nothing() -> None:
    values = factors(3, 4)
    result = measured(represented(values[:, :1] * 1.0, truth=truths(values)))
    assert result["mcc_pearson"] == pytest.approx(0.5)
    assert result["mcc_assignment"] == {"shape": "z[0]", "size": None}


def test_a_rotation_is_undone_by_a_linear_map_of_the_training_split() -> None:
    values = factors(5, 5, repeats=4)
    turned = values @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    encoded = represented(turned, truth=truths(values))
    assert measured(encoded)["mcc_pearson"] == pytest.approx(np.sqrt(0.5))
    assert measured(encoded, linear_map=True)["mcc_pearson"] == pytest.approx(1)
    assert "mcc_assignment" not in measured(encoded, linear_map=True)
    # The training split says what the map is: of another code it is the wrong one.
    other = represented(values[:, ::-1] * 1.0, truth=truths(values))
    assert measured(encoded, train=other, linear_map=True)["mcc_pearson"] == pytest.approx(np.sqrt(0.5))


def test_without_a_training_split_one_half_fits_and_the_other_is_scored() -> None:
    values = factors(5, 5, repeats=4)
    encoded = represented(np.random.default_rng(0).standard_normal((100, 60)), truth=truths(values))
    alone = dict(mcc(subject_without_train(encoded), linear_map=True))
    # Sixty latents fit fifty rows of noise without an error.
    assert measured(encoded, linear_map=True)["mcc_pearson"] > 0.7
    assert alone["mcc_pearson"] < 0.4


def subject_without_train(encoded: Representation) -> Any:
    return replace(subject(encoded), train=None)


def test_names_have_no_correlation_and_unknown_rows_no_part() -> None:
    values = factors(3, 4, 5)
    known = np.arange(60) % 3 != 0
    mean = np.where(known[:, None], values, 99.0)
    truth = [
        Truth("shape", values[:, 0], 3, nuisance=True),
        Truth("size", np.where(known, values[:, 1], UNKNOWN), 4),
        Truth("one", np.zeros(60, dtype=np.int64), 1),
    ]
    result = measured(represented(mean, truth=truth))
    assert result["mcc_pearson_per_factor"] == {"size": pytest.approx(1), "one": None}
    assert result["mcc_pearson"] == pytest.approx(1)
    numbers = np.exp(values[:, 2] * 1.0)
    real = Truth("x", values[:, 2], 5, numbers=numbers)
    assert measured(represented(numbers[:, None], truth=[real]))["mcc_pearson"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "no factor whose values are magnitudes is known"),
        ({"label": [0, 1, 1]}, "no factor whose values are magnitudes is known"),
        ({"truth": {"v": [1, 1, 1]}}, "no factor takes two values"),
    ],
)
def test_null_and_why(options: dict[str, Any], why: str) -> None:
    encoded = represented(np.eye(3), **options)
    if encoded.label is not None:
        encoded = replace(encoded, truth=(encoded.label,))
    result = measured(encoded)
    assert result["mcc_pearson"] is None and result["mcc_spearman_why"] == why


def test_no_continuous_factor_is_null() -> None:
    result = measured(represented(np.empty((3, 0)), truth={"v": [0, 1, 2]}, discrete={"c": np.eye(3)}))
    assert result["mcc_pearson"] is None and "no continuous factors" in result["mcc_pearson_why"]
