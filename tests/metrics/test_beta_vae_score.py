"""The BetaVAE score against its definition, and what it says of codes made by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from subjects import factors, represented, subject, truths

from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation
from hfvae_runner.metrics.beta_vae_score import beta_vae_score, mean_difference


def score(
    encoded: Representation, *, seed: int = 0, votes: int = 600, test_votes: int = 1000, pairs: int = 16
) -> dict[str, Any]:
    return dict(beta_vae_score(subject(encoded, seed=seed), votes=votes, test_votes=test_votes, pairs=pairs))


def direct(mean: Floats, values: Integers, *, votes: int, pairs: int, generator: np.random.Generator) -> float:
    """β-TCVAE Sec. 2.2 with a loop."""

    def drawn(count: int) -> Iterator[tuple[Floats, int]]:
        for _ in range(count):
            k = int(generator.integers(values.shape[1]))
            first = generator.integers(len(values), size=pairs)
            second = [generator.choice(np.flatnonzero(values[:, k] == values[row, k])) for row in first]
            yield np.abs(mean[first] - mean[second]).mean(0), k

    (train, label), (test, truth) = (map(np.array, zip(*drawn(votes), strict=True)) for _ in range(2))
    return float(LogisticRegression(max_iter=1000).fit(train, label).score(test, truth))


def test_a_code_that_copies_the_factors_scores_1() -> None:
    values = factors(3, 4, 5, repeats=3)
    noise = np.random.default_rng(1).normal(size=(len(values), 2))
    result = score(represented(np.hstack([noise, values * [1.0, -7.0, 1e-3]]), truth=truths(values)), pairs=64)
    assert result == {"beta_vae_score": 1.0, "beta_vae_score_train": 1.0, "beta_vae_score_se": 0.0}


def test_the_score_is_that_of_the_definition_in_a_loop() -> None:
    generator = np.random.default_rng(2)
    values = factors(3, 4, 5, repeats=3)
    mean = values @ generator.normal(size=(3, 4)) + generator.normal(size=(len(values), 4))
    expected = direct(mean, values, votes=1500, pairs=8, generator=generator)
    result = score(represented(mean, truth=truths(values)), votes=1500, test_votes=2500, pairs=8)
    assert 0.4 < expected < 0.95
    error = result["beta_vae_score_se"]
    assert result["beta_vae_score"] == pytest.approx(expected, abs=4 * np.sqrt(2) * error)
    assert error == pytest.approx(np.sqrt(result["beta_vae_score"] * (1 - result["beta_vae_score"]) / 2500))


def test_the_distances_of_pairs_by_hand() -> None:
    values = np.array([[0.0, 1.0], [3.0, -1.0], [5.0, 5.0]])
    first, second = np.array([[0, 1], [2, 2]]), np.array([[1, 2], [2, 0]])
    np.testing.assert_allclose(mean_difference(values, first, second), [[2.5, 4.0], [2.5, 2.0]])


def test_the_order_and_the_units_of_the_variables_change_nothing() -> None:
    generator = np.random.default_rng(3)
    values = factors(3, 4, 5, repeats=3)
    mean = values @ generator.normal(size=(3, 4)) + generator.normal(size=(len(values), 4))
    expected = score(represented(mean, truth=truths(values)))["beta_vae_score"]
    changed = score(represented((mean * [1e-3, 1, 1e3, 7])[:, [2, 0, 3, 1]], truth=truths(values)))["beta_vae_score"]
    # The solver stops at slightly other weights.
    assert changed == pytest.approx(expected, abs=0.003)
    assert 0.4 < expected < 1


def test_a_rotation_of_two_factors_leaves_chance() -> None:
    values = factors(8, 8, repeats=4)
    turned = values @ np.array([[1.0, 1.0], [1.0, -1.0]])
    straight, rotated = (score(represented(mean, truth=truths(values))) for mean in (values * 1.0, turned))
    assert straight["beta_vae_score"] == 1
    # Whichever factor is fixed, both distances are that of the other one.
    assert rotated["beta_vae_score"] == pytest.approx(0.5, abs=4 * rotated["beta_vae_score_se"])


def test_factors_may_share_their_dimensions() -> None:
    # No axis is of one factor, which Kim & Mnih hold against this score, but the classifier tells them apart.
    values = factors(8, 8, repeats=4)
    turned = values @ np.array([[1.0, 1.0], [2.0, -1.0]])
    assert score(represented(turned, truth=truths(values)), pairs=64)["beta_vae_score"] > 0.95


def test_noise_scores_chance() -> None:
    values = factors(4, 4, 4, repeats=40)
    noise = np.random.default_rng(4).normal(size=(len(values), 6))
    result = score(represented(noise, truth=truths(values)), votes=2000, test_votes=3000)
    assert result["beta_vae_score"] == pytest.approx(1 / 3, abs=4 * result["beta_vae_score_se"])


def test_a_collapsed_code_scores_chance() -> None:
    values = factors(3, 4, repeats=3)
    result = score(represented(np.full((len(values), 2), 0.1), truth=truths(values)))
    assert result["beta_vae_score"] == pytest.approx(0.5, abs=4 * result["beta_vae_score_se"])


def test_a_discrete_variable_can_stand_for_a_factor() -> None:
    values = factors(3, 4, repeats=3)
    code = represented(values[:, 1:] * 1.0, discrete={"c": np.eye(3)[values[:, 0]]}, truth=truths(values))
    assert score(code)["beta_vae_score"] == 1
    unsure = represented(values[:, 1:] * 0.0, discrete={"c": np.full((len(values), 3), 1 / 3)}, truth=truths(values))
    assert score(unsure)["beta_vae_score"] < 0.6


def test_factors_of_nuisance_take_part() -> None:
    values = factors(3, 4, repeats=3)
    assert score(represented(values * 1.0, truth=truths(values, nuisance=["shape"])))["beta_vae_score"] == 1


def test_rows_of_unknown_value_have_no_part_in_a_factors_votes() -> None:
    values = factors(3, 4, repeats=10)
    mean = values * 1.0
    mean[:60] = np.random.default_rng(5).normal(size=(60, 2)) * 3
    unknown = values.copy()
    unknown[:60] = UNKNOWN
    assert score(represented(mean, truth=truths(unknown)))["beta_vae_score"] == 1
    assert score(represented(mean, truth=truths(values)))["beta_vae_score"] < 1


def test_the_same_seed_scores_the_same() -> None:
    values = factors(3, 4, repeats=3)
    encoded = represented(values + np.random.default_rng(6).normal(size=values.shape), truth=truths(values))
    assert score(encoded, seed=1) == score(encoded, seed=1)
    assert score(encoded, seed=1)["beta_vae_score"] != score(encoded, seed=2)["beta_vae_score"]


def test_more_votes_than_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = factors(3, 4, repeats=3)
    monkeypatch.setattr("hfvae_runner.metrics.beta_vae_score._AT_ONCE", 1)
    assert score(represented(values * 1.0, truth=truths(values)), votes=100, test_votes=50)["beta_vae_score"] == 1


def test_one_vote_teaches_one_factor() -> None:
    values = factors(3, 4, repeats=3)
    result = score(represented(values * 1.0, truth=truths(values)), votes=1)
    assert result["beta_vae_score_train"] == 1
    assert result["beta_vae_score"] == pytest.approx(0.5, abs=4 * result["beta_vae_score_se"])


def test_a_regression_that_does_not_converge_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    values = factors(3, 4, repeats=3)
    monkeypatch.setattr("hfvae_runner.metrics.beta_vae_score._ITERATIONS", 1)
    note = score(represented(values * 1.0, truth=truths(values)))["beta_vae_score_note"]
    assert note == "the logistic regression did not converge in 1 iterations"


@pytest.mark.parametrize(
    "values", [np.stack([np.arange(12) % 3, np.zeros(12, int)], 1), np.arange(12)[:, None] % 3, np.empty((12, 0), int)]
)
def test_an_undefined_score_says_why(values: Any) -> None:
    result = score(represented(np.arange(12.0)[:, None], truth=truths(values)))
    for name in ("beta_vae_score", "beta_vae_score_train", "beta_vae_score_se"):
        assert result[name] is None
        assert "two factors" in result[f"{name}_why"]
