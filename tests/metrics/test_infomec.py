"""InfoMEC: constructed answers, and a plain computation of its definition."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression
from subjects import factors, represented, subject, truths

from hfvae_runner.metrics import UNKNOWN, Representation
from hfvae_runner.metrics.infomec import Variable, explained_by_code, infomec, largest_shares, normalised_information

OPTIONS = {"rows": 10_000, "neighbours": 10, "active": 0.05, "iterations": 200}


def measured(encoded: Representation, seed: int = 0, **options: Any) -> dict[str, Any]:
    return dict(infomec(subject(encoded, seed=seed), **{**OPTIONS, **options}))


def noisy(values: Any, scale: float = 0.02, seed: int = 0) -> Any:
    return values + scale * np.random.default_rng(seed).standard_normal(values.shape)


def test_a_code_of_one_latent_a_factor_is_best_in_all_three() -> None:
    values = factors(3, 4, 5, repeats=20)
    result = measured(represented(noisy(values), truth=truths(values)))
    assert result["infom"] > 0.95 and result["infoc"] > 0.95
    # A linear classifier separates the middle values of an ordered factor as well.
    assert result["infoe"] > 0.8


def test_a_rotation_is_neither_modular_nor_compact() -> None:
    values = factors(5, 5, repeats=40)
    turned = noisy(values) @ np.array([[1.0, 1.0], [-1.0, 1.0]])
    result = measured(represented(turned, truth=truths(values)))
    assert result["infom"] < 0.1 and result["infoc"] < 0.1
    straight = measured(represented(noisy(values), truth=truths(values)))
    # A linear map changes nothing about what a linear classifier finds.
    assert result["infoe"] == pytest.approx(straight["infoe"], abs=0.01)


def test_two_latents_of_one_factor_are_modular_but_not_compact() -> None:
    values = factors(4, 4, repeats=40)
    code = np.hstack([noisy(values[:, :1], seed=1), noisy(values[:, :1], seed=2), noisy(values[:, 1:], seed=3)])
    result = measured(represented(code, truth=truths(values)))
    assert result["infom"] > 0.95
    # Two of three latents know the first factor alike: (1/2 − 1/3)/(1 − 1/3).
    assert result["infoc_per_factor"] == pytest.approx({"shape": 0.25, "size": 1}, abs=0.05)


def test_one_latent_of_two_factors_is_compact_but_not_modular() -> None:
    values = factors(4, 4, repeats=40)
    both = noisy(4.0 * values[:, :1] + values[:, 1:])
    code = np.hstack([both, np.random.default_rng(1).standard_normal((len(values), 1)) * 4])
    result = measured(represented(code, truth=truths(values)))
    assert result["infom_per_variable"]["z[0]"] < 0.05 and result["infoc"] > 0.9


def test_narrow_latents_are_not_active_and_say_nothing_of_the_others() -> None:
    values = factors(4, 4, repeats=40)
    narrow = 0.01 * noisy(values[:, ::-1], seed=1)
    result = measured(represented(np.hstack([noisy(values), narrow]), truth=truths(values)))
    assert set(result["infom_per_variable"]) == {"z[0]", "z[1]"}
    assert result == {**measured(represented(noisy(values), truth=truths(values))), **{
        key: result[key] for key in ("infoe", "infoe_se", "infoe_per_factor")
    }}  # fmt: skip


def test_discrete_variables_are_counted() -> None:
    values = factors(3, 4, repeats=10)
    categories = {"a": np.eye(3)[values[:, 0]], "b": np.eye(4)[values[:, 1]]}
    result = measured(represented(np.zeros((len(values), 0)), truth=truths(values), discrete=categories))
    assert result["infom"] == pytest.approx(1) and result["infoc"] == pytest.approx(1)
    assert result["infoe"] > 0.99
    assert result["infomec_information"]["shape"] == pytest.approx({"a": 1, "b": 0}, abs=1e-12)


def test_counting_is_the_definition() -> None:
    generator = np.random.default_rng(0)
    s, z = generator.integers(3, size=200), generator.integers(4, size=200)
    joint = np.zeros((3, 4))
    np.add.at(joint, (s, z), 1 / 200)
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    information = (joint[joint > 0] * np.log(joint[joint > 0] / product[joint > 0])).sum()
    entropy = -(joint.sum(1) * np.log(joint.sum(1))).sum()
    found = normalised_information(Variable("z", z, True), s, neighbours=10, seed=0)
    assert found == pytest.approx(information / entropy)


def test_the_nearest_neighbours_find_the_information_of_a_mixture() -> None:
    generator = np.random.default_rng(0)
    s = generator.integers(2, size=4000)
    z = s * 2.0 + generator.standard_normal(4000)
    grid = np.linspace(-8, 10, 20_001)
    parts = np.exp(-0.5 * (grid - np.array([[0.0], [2.0]])) ** 2) / np.sqrt(2 * np.pi)
    mixture = parts.mean(0)
    exact = np.trapezoid((parts * np.log(parts / mixture)).mean(0), grid) / np.log(2)
    assert normalised_information(Variable("z", z, False), s, neighbours=10, seed=0) == pytest.approx(exact, abs=0.03)


def test_the_constant_s_loss_is_log_k_whatever_the_frequencies() -> None:
    s = np.repeat([0, 1, 2], [10, 30, 60])
    fitted = LogisticRegression(C=np.inf, class_weight="balanced").fit(np.zeros((100, 1)), s)
    np.testing.assert_allclose(fitted.predict_proba(np.zeros((1, 1))), 1 / 3, atol=1e-4)
    assert explained_by_code(np.zeros((100, 1)), s, iterations=100).explained == pytest.approx(0, abs=1e-4)
    empty = explained_by_code(np.zeros((100, 0)), s, iterations=100)
    assert empty.explained == 0 and empty.converged


@given(arrays(float, (3, 4), elements=st.floats(0, 1)))
def test_shares_are_from_0_to_1(table: Any) -> None:
    shares = largest_shares(table)
    assert ((shares > -1e-9) & (shares < 1 + 1e-9)).all()
    expected = [(row.max() / row.sum() - 0.25) / 0.75 if row.sum() > 0 else 0 for row in table]
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_nuisance_is_in_the_table_and_not_in_the_means() -> None:
    values = factors(3, 4, 5, repeats=10)
    result = measured(represented(noisy(values), truth=truths(values, nuisance=["shape"])))
    assert set(result["infoc_per_factor"]) == {"shape", "size", "x"}
    for name in ("infoc", "infoe"):
        per_factor = result[f"{name}_per_factor"]
        assert result[name] == pytest.approx((per_factor["size"] + per_factor["x"]) / 2)
    every = measured(represented(noisy(values), truth=truths(values, nuisance=["shape", "size", "x"])))
    assert every["infoc_se"] is None and every["infoe_se"] is None
    assert every["infoc"] is None and every["infoe_why"] == "all factors that vary are of nuisance"


def test_unknown_values_are_left_out() -> None:
    values = factors(3, 4, repeats=30)
    code = noisy(values)
    hidden = values.copy()
    hidden[::7, 0] = UNKNOWN
    known = represented(code, truth=truths(hidden))
    shape = Variable("z[0]", code[hidden[:, 0] != UNKNOWN, 0], False)
    seed = int(np.random.default_rng(0).integers(1 << 32))
    expected = normalised_information(shape, hidden[hidden[:, 0] != UNKNOWN, 0], neighbours=10, seed=seed)
    assert measured(known)["infomec_information"]["shape"]["z[0]"] == pytest.approx(expected)


def mixed(seed: int, n: int = 400) -> Representation:
    """n independent examples of three factors, in three latents that mix them and one without information."""
    generator = np.random.default_rng(seed)
    values = generator.integers((4, 5, 5), size=(n, 3))
    mixing = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, 0.5], [0.4, 0.0, 1.0]])
    code = np.hstack([values @ mixing + 0.7 * generator.standard_normal((n, 3)), generator.standard_normal((n, 1))])
    return represented(code, truth=truths(values))


@pytest.mark.slow
def test_the_standard_errors_are_the_spread_over_draws_of_the_examples() -> None:
    draws = [measured(mixed(seed), seed=seed) for seed in range(20)]
    for name in ("infom", "infoc", "infoe"):
        spread = np.std([draw[name] for draw in draws], ddof=1)
        stated = np.sqrt(np.mean(np.square([draw[f"{name}_se"] for draw in draws])))
        assert 0.5 < stated / spread < 2, name


def test_the_standard_errors_fall_with_the_square_root_of_the_examples() -> None:
    few, many = (measured(mixed(0, n)) for n in (250, 4000))
    for name in ("infoc_se", "infoe_se"):
        assert few[name] / many[name] == pytest.approx(4, rel=0.5)


def test_rows_of_unknown_factors_have_no_part_in_the_error_of_the_explicitness() -> None:
    encoded = mixed(0)
    first = encoded.truth[0]
    twice = encoded.of_rows(np.tile(np.arange(len(encoded)), 2))
    half_known = np.hstack([first.values, np.full(len(encoded), UNKNOWN)])
    twice = replace(twice, truth=(replace(first, values=half_known),))
    once = measured(replace(encoded, truth=(first,)))
    assert measured(twice)["infoe_se"] == pytest.approx(once["infoe_se"], rel=0.01)


def test_no_error_where_a_half_of_the_examples_may_lack_a_value() -> None:
    values = np.array([[0, 0], [0, 0], [1, 1], [0, 1], [1, 0], [0, 0]])
    result = measured(represented(noisy(values), truth=truths(values)))
    assert result["infom"] is not None and result["infom_se"] is None
    assert result["infoc_se_why"] == "a factor has too few values in a random half of the examples"


def test_what_is_not_defined_says_why() -> None:
    values = factors(3, 4, repeats=10)
    constant = measured(represented(np.ones((len(values), 2)), truth=truths(values)))
    assert constant["infom"] is None and constant["infoc_why"] == "no latent variable is active"
    assert constant["infoe"] == pytest.approx(0, abs=1e-3)
    single = measured(represented(noisy(values[:, :1]), truth=truths(values[:, :1])))
    assert single["infom_why"] == "it compares factors, and there is one that varies"
    assert single["infoc_why"] == "it compares latent variables, and one is active"
    nothing = measured(represented(noisy(values), truth=()))
    assert nothing["infoe"] is None and nothing["infom_why"].startswith("no factor takes two values")
    once = measured(represented(np.array([[0.0], [1.0]]), truth=truths(np.array([[0], [1]]))))
    assert once["infom"] is None and once["infoe_why"] == "no factor takes two values, one of them in two examples"


def test_the_seed_decides_the_estimator_s_noise_and_rows_are_the_first() -> None:
    values = factors(4, 4, repeats=20)
    encoded = represented(noisy(values), truth=truths(values))
    assert measured(encoded) == measured(encoded)
    assert measured(encoded, seed=1 << 63)["infom"] == pytest.approx(measured(encoded)["infom"], abs=0.01)
    first = represented(noisy(values)[:160], truth=truths(values[:160]))
    assert measured(encoded, rows=160)["infom"] == pytest.approx(measured(first)["infom"])


def test_too_few_iterations_are_said() -> None:
    values = factors(4, 4, repeats=20)
    result = measured(represented(noisy(values), truth=truths(values)), iterations=1)
    assert result["infoe_note"] == "2 of 2 regressions did not converge in 1 iterations"
