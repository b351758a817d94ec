"""Disentanglement, completeness and informativeness: the definitions, and what they say of codes made by hand."""

from typing import Any, Literal

import numpy as np
import pytest
from scipy.stats import entropy
from subjects import NAMES, factors, represented, subject, truths

from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._subject import UNKNOWN, Representation, Truth
from hfvae_runner.metrics.dci import concentration, dci, disentanglement, normalised_error

Regressor = Literal["random_forest", "lasso", "gradient_boosting"]

REGRESSORS: tuple[Regressor, ...] = ("random_forest", "lasso", "gradient_boosting")


def measured(
    encoded: Representation,
    regressor: Regressor = "random_forest",
    *,
    seed: int = 0,
    train_rows: int = 600,
    test_rows: int = 300,
    penalty: float = 0.02,
    stages: int = 30,
) -> dict[str, Any]:
    result = dci(
        subject(encoded, seed=seed),
        regressor=regressor,
        train_rows=train_rows,
        test_rows=test_rows,
        trees=10,
        depth=12,
        penalty=penalty,
        stages=stages,
    )
    return dict(result)


def parts(result: dict[str, Any]) -> list[float | None]:
    return [result["dci"][name] for name in ("disentanglement", "completeness", "informativeness")]


def test_concentration_is_one_less_the_entropy_to_the_base_of_the_columns() -> None:
    table = np.random.default_rng(1).gamma(0.3, size=(6, 4))
    expected = [1 - entropy(row / row.sum(), base=4) for row in table]
    assert concentration(table) == pytest.approx(expected)
    assert concentration(np.array([[0, 2.0, 0], [3, 3, 3], [0, 0, 0]])) == [1, pytest.approx(0), None]
    assert concentration(np.array([[2.0], [0.0]])) == [None, None]


def test_disentanglement_weighs_the_variables_by_their_importance() -> None:
    importance = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    # D = (1, 0, undefined) with ρ = (3/5, 2/5, 0).
    assert disentanglement(importance) == pytest.approx(3 / 5)
    assert disentanglement(np.zeros((2, 2))) is None
    assert disentanglement(np.ones((2, 1))) is None


def test_the_error_is_a_share_of_the_deviation() -> None:
    truth = np.array([[1.0], [2.0], [3.0], [6.0]])
    assert normalised_error(truth, truth) == 0
    assert normalised_error(np.full((4, 1), 3.0), truth) == pytest.approx(1)
    assert normalised_error(np.full((4, 1), 4.0), truth) == pytest.approx(np.sqrt(1 + 1 / truth.var()))
    assert normalised_error(truth, np.full((4, 1), 2.0)) is None
    both = np.hstack([truth, truth * 2])
    expected = np.sqrt((truth.var() + 0) / (truth.var() * 5))
    assert normalised_error(np.hstack([np.full((4, 1), 3.0), truth * 2]), both) == pytest.approx(expected)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_code_that_copies_the_factors_scores_1(regressor: Regressor) -> None:
    values = factors(5, 6, 5, repeats=6)
    noise = np.random.default_rng(2).normal(size=(len(values), 2))
    copied = represented(np.hstack([values * [1.0, -50, 1e-3], noise]), truth=truths(values))
    result = measured(copied, regressor)
    # A penalty of λ shortens the one coefficient of standardised numbers from 1 to 1 − λ; 30 stages leave 0.9³⁰.
    error = {"random_forest": 0, "lasso": 0.02, "gradient_boosting": 0.9**30}[regressor]
    assert result["dci"]["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert result["dci"]["completeness"] == pytest.approx(1, abs=1e-3)
    assert result["dci_error"] == pytest.approx(error, abs=2e-3)
    assert result["dci"]["informativeness"] == pytest.approx(1 - result["dci_error"])
    assert list(result["dci_error_per_factor"]) == list(NAMES)
    assert [result["dci_per_variable"][f"z[{d}]"] for d in range(3)] == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_second_code_of_a_factor_lowers_completeness_alone(regressor: Regressor) -> None:
    values = factors(5, 6, repeats=20)
    twice = represented(values[:, [0, 1, 1]] * 1.0, truth=truths(values))
    result = measured(twice, regressor)
    assert result["dci"]["disentanglement"] == pytest.approx(1, abs=1e-3)
    assert result["dci_per_factor"]["shape"] == pytest.approx(1, abs=1e-3)
    if regressor == "lasso":
        # Which of two equal columns it takes is of no matter to it.
        return
    # Trees take either, as often: 1 − log 2 / log 3.
    assert result["dci_per_factor"]["size"] == pytest.approx(1 - np.log(2) / np.log(3), abs=0.06)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_rotation_by_45_degrees_entangles_both_factors(regressor: Regressor) -> None:
    values = factors(8, 8, repeats=14)
    turned = values @ np.array([[1.0, 1.0], [1.0, -1.0]])
    result = measured(represented(turned, truth=truths(values)), regressor)
    assert result["dci"]["disentanglement"] == pytest.approx(0, abs=0.02)
    assert result["dci"]["completeness"] == pytest.approx(0, abs=0.02)
    assert result["dci"]["informativeness"] > 0.5


def test_noise_informs_of_nothing() -> None:
    values = factors(4, 4, repeats=60)
    noise = np.random.default_rng(3).normal(size=(len(values), 5))
    forest = measured(represented(noise, truth=truths(values)))
    assert forest["dci"]["informativeness"] < 0
    assert forest["dci"]["disentanglement"] < 0.05
    # A penalty beyond chance's correlations leaves nothing.
    silent = measured(represented(noise, truth=truths(values)), "lasso", penalty=0.3)
    assert silent["dci"] == {
        "disentanglement": None,
        "completeness": None,
        "informativeness": pytest.approx(0, abs=0.02),
    }
    assert "helps with" in silent["dci_disentanglement_why"]
    assert "helps with" in silent["dci_completeness_why"]
    assert set(silent["dci_per_variable"].values()) == set(silent["dci_per_factor"].values()) == {None}


def test_the_error_of_a_noisy_channel_in_closed_form() -> None:
    values = factors(10, 10, repeats=100)
    noise = np.random.default_rng(4).normal(size=values.shape)
    deviations = np.array([1.0, 4.0])
    code = represented(values + noise * deviations, truth=truths(values))
    result = measured(code, "lasso", train_rows=7000, test_rows=3000, penalty=1e-6)
    # The best linear guess of v from v + ε leaves Var ε / (Var v + Var ε) of the variance; Var v = (10² − 1)/12.
    expected = np.sqrt(deviations**2 / (99 / 12 + deviations**2))
    assert list(result["dci_error_per_factor"].values()) == pytest.approx(expected, rel=0.04)
    assert result["dci_error"] == pytest.approx(np.mean(list(result["dci_error_per_factor"].values())))


@pytest.mark.parametrize("regressor", ["random_forest", "lasso"])
def test_the_importances_of_categories_are_one_variables(regressor: Regressor) -> None:
    values = factors(3, 4, repeats=70)
    code = represented(
        values[:, 1:] * 1.0,
        discrete={"c": np.eye(3)[values[:, 0]], "idle": np.full((len(values), 4), 0.25)},
        truth=truths(values, nuisance=["shape"]),
    )
    result = measured(code, regressor)
    assert list(result["dci_per_variable"]) == ["z[0]", "c", "idle"]
    assert result["dci_per_variable"]["c"] == pytest.approx(1, abs=0.01)
    assert result["dci_per_variable"]["idle"] is None
    assert result["dci_per_factor"]["shape"] == pytest.approx(1, abs=0.01)
    assert result["dci_error_per_factor"]["shape"] < 0.05


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_values_that_are_names_have_no_order(regressor: Regressor) -> None:
    values = factors(4, 5, repeats=45)
    place = np.random.default_rng(5).normal(size=(4, 2))
    mean = np.hstack([place[values[:, 0]], values[:, 1:]])
    named = measured(represented(mean, truth=truths(values, nuisance=["shape"])), regressor)
    renamed = values.copy()
    renamed[:, 0] = np.array([2, 0, 3, 1])[values[:, 0]]
    again = measured(represented(mean, truth=truths(renamed, nuisance=["shape"])), regressor)
    tolerance = 0.02 if regressor == "random_forest" else 1e-6
    for kind in ("dci_error_per_factor", "dci_per_factor"):
        assert again[kind]["shape"] == pytest.approx(named[kind]["shape"], abs=tolerance)
    magnitudes = (truths(values), truths(renamed))
    first, second = (measured(represented(mean, truth=each), "lasso") for each in magnitudes)
    assert abs(first["dci_error_per_factor"]["shape"] - second["dci_error_per_factor"]["shape"]) > 0.01


def test_the_label_is_regressed_as_names() -> None:
    label = factors(4, repeats=60)[:, 0]
    place = np.random.default_rng(6).normal(size=(4, 2))
    code = represented(place[label], truth={"label": label}, label=label)
    as_label = measured(code, "lasso")
    as_factor = measured(represented(place[label], truth={"other": label}), "lasso")
    assert as_label["dci_error"] != pytest.approx(as_factor["dci_error"], abs=0.01)


def test_factors_of_nuisance_entangle_and_are_left_out_of_means() -> None:
    values = factors(5, 6, repeats=20)
    # One variable has both factors, in digits of base 10.
    both = (values[:, :1] * 10 + values[:, 1:]) * 1.0
    code = np.hstack([both, both])
    result = measured(represented(code, truth=truths(values, nuisance=["shape"])))
    plain = measured(represented(code, truth=truths(values)))
    assert result["dci"]["disentanglement"] < 0.1
    assert result["dci_error"] == result["dci_error_per_factor"]["size"]
    assert result["dci"]["completeness"] == result["dci_per_factor"]["size"]
    assert result["dci_error_per_factor"]["shape"] is not None
    assert plain["dci_error"] == pytest.approx(np.mean(list(plain["dci_error_per_factor"].values())))


def test_the_order_and_the_units_of_the_variables_change_nothing() -> None:
    generator = np.random.default_rng(7)
    values = factors(5, 6, repeats=20)
    mean = values @ generator.normal(size=(2, 3)) + generator.normal(size=(len(values), 3))
    first = measured(represented(mean, truth=truths(values)), "lasso")
    second = measured(represented((mean * [1e-3, -1, 1e3])[:, [2, 0, 1]], truth=truths(values)), "lasso")
    assert parts(second) == pytest.approx(parts(first), abs=1e-3)
    assert second["dci_per_variable"]["z[0]"] == pytest.approx(first["dci_per_variable"]["z[2]"], abs=1e-3)


@pytest.mark.parametrize("regressor", ["random_forest", "gradient_boosting"])
def test_the_same_seed_measures_the_same(regressor: Regressor) -> None:
    values = factors(5, 6, repeats=10)
    noisy = values[:, [0, 0, 1]] + np.random.default_rng(8).normal(size=(len(values), 3))
    encoded = represented(noisy, truth=truths(values))
    assert measured(encoded, regressor, seed=1) == measured(encoded, regressor, seed=1)
    if regressor == "random_forest":
        assert measured(encoded, seed=1) != measured(encoded, seed=2)


def test_the_rows_to_score_are_not_those_fitted_on() -> None:
    # Names for the rows can be learned by heart, but tell nothing of other rows.
    generator = np.random.default_rng(9)
    values = generator.integers(2, size=(900, 2))
    result = measured(represented(np.arange(900.0)[:, None] * [1, 1], truth=truths(values)))
    assert result["dci"]["informativeness"] < 0


def test_rows_of_unknown_value_have_no_part_in_a_factor() -> None:
    values = factors(5, 6, repeats=30)
    mean = values * 1.0
    mean[::3] = 77
    unknown = values.copy()
    unknown[::3] = UNKNOWN
    result = measured(represented(mean, truth=truths(unknown)))
    assert parts(result) == pytest.approx([1, 1, 1], abs=1e-6)


def test_fewer_examples_than_rows_are_shared_out() -> None:
    values = factors(3, 4, repeats=3)
    result = measured(represented(values * 1.0, truth=truths(values)))
    assert parts(result) == pytest.approx([1, 1, 1], abs=0.05)


def test_a_factor_of_one_value_is_null_and_has_no_part() -> None:
    values = np.hstack([factors(5, 6, repeats=20), np.zeros((600, 1), int)])
    result = measured(represented(values[:, :2] * 1.0, truth=truths(values)))
    assert parts(result) == pytest.approx([1, 1, 1], abs=1e-6)
    assert result["dci_per_factor"]["x"] is None
    assert result["dci_error_per_factor"]["x"] is None


def test_one_factor_has_no_disentanglement() -> None:
    values = factors(6, repeats=100)
    result = measured(represented(np.hstack([values, -values]) * 1.0, truth=truths(values)))
    assert result["dci"]["disentanglement"] is None
    assert "two factors" in result["dci_disentanglement_why"]
    assert result["dci"]["informativeness"] == pytest.approx(1)
    assert set(result["dci_per_variable"].values()) == {None}


def test_one_latent_variable_has_no_completeness() -> None:
    values = factors(5, 6, repeats=20)
    result = measured(represented(values[:, :1] * 1.0, truth=truths(values)))
    assert result["dci"]["completeness"] is None
    assert "two latent variables" in result["dci_completeness_why"]
    assert result["dci"]["disentanglement"] is not None


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_collapsed_code_informs_of_nothing(regressor: Regressor) -> None:
    values = factors(5, 6, repeats=20)
    result = measured(represented(np.full((600, 2), 0.1), truth=truths(values)), regressor)
    assert result["dci"]["disentanglement"] is None
    assert result["dci"]["completeness"] is None
    assert result["dci_error"] == pytest.approx(1, abs=0.02)


def test_factors_of_nuisance_alone_leave_no_means() -> None:
    values = factors(5, 6, repeats=20)
    result = measured(represented(values * 1.0, truth=truths(values, nuisance=["shape", "size"])))
    assert result["dci"]["disentanglement"] == pytest.approx(1, abs=0.01)
    for name in ("dci_completeness_why", "dci_informativeness_why", "dci_error_why"):
        assert "nuisance" in result[name]
    assert result["dci_error"] is None


@pytest.mark.parametrize(
    "truth", [[], [Truth("v", np.zeros(8, int), 1)], [Truth("v", np.array([0, 1, 0, 1, -1, -1, -1, -1]), 2)]]
)
def test_an_undefined_result_says_why(truth: list[Truth]) -> None:
    result = measured(represented(np.arange(16.0).reshape(8, 2), truth=truth), train_rows=4, test_rows=4)
    for name in ("dci", "dci_error", "dci_per_variable", "dci_per_factor", "dci_error_per_factor"):
        assert result[name] is None
        assert "no factor varies over the 4 examples" in result[f"{name}_why"]


def test_a_lasso_that_does_not_converge_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    values = factors(5, 6, repeats=20)
    monkeypatch.setattr("hfvae_runner.metrics.dci._LASSO_ITERATIONS", 1)
    mixed = values @ np.array([[1.0, 1.0], [1.0, 0.9]])
    result = measured(represented(mixed, truth=truths(values)), "lasso", penalty=1e-4)
    assert result["dci_note"] == "2 regressions did not converge in 1 iterations"


def test_a_lasso_without_a_penalty_is_refused() -> None:
    with pytest.raises(ConfigError, match="penalty=0: expected more than 0"):
        measured(represented([[0.0]]), "lasso", penalty=0.0)
