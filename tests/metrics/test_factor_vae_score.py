"""The FactorVAE score against its definition, and what it says of codes made by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from subjects import factors, represented, subject, truths

from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import columns
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation
from hfvae_runner.metrics.factor_vae_score import factor_vae_score, least_varying, majority_accuracy


def score(
    encoded: Representation,
    *,
    seed: int = 0,
    votes: int = 400,
    test_votes: int = 1000,
    rows: int = 30,
    least_std: float = 0.05,
) -> dict[str, Any]:
    measured = subject(encoded, seed=seed)
    return dict(factor_vae_score(measured, votes=votes, test_votes=test_votes, rows=rows, least_std=least_std))


def direct(mean: Floats, values: Integers, *, votes: int, rows: int, generator: np.random.Generator) -> float:
    """Kim & Mnih's Sec. 4 with a loop, and their votes on the whole data set."""
    deviation = mean.std(0)

    def drawn(count: int) -> Iterator[tuple[int, int]]:
        for _ in range(count):
            k = int(generator.integers(values.shape[1]))
            fixed = values[generator.integers(len(values)), k]
            chosen = generator.choice(np.flatnonzero(values[:, k] == fixed), rows)
            yield int(np.argmin(np.var(mean[chosen] / deviation, axis=0))), k

    table = np.zeros((mean.shape[1], values.shape[1]))
    for d, k in drawn(votes):
        table[d, k] += 1
    return float(np.mean([k == table[d].argmax() for d, k in drawn(votes)]))


def test_a_code_that_copies_the_factors_scores_1() -> None:
    values = factors(3, 4, 5, repeats=5)
    noise = np.random.default_rng(1).normal(size=(len(values), 2))
    result = score(represented(np.hstack([noise, values * [1.0, -7.0, 1e-3]]), 1e-4, truth=truths(values)))
    assert result["factor_vae_score"] == result["factor_vae_score_train"] == 1
    assert result["factor_vae_score_se"] == 0
    assert result["factor_vae_score_dimensions"] == 5
    votes = result["factor_vae_score_votes"]
    assert {name: list(each) for name, each in votes.items()} == {"shape": ["z[2]"], "size": ["z[3]"], "x": ["z[4]"]}
    assert sum(sum(each.values()) for each in votes.values()) == 400


def test_the_score_is_that_of_the_definition_in_a_loop() -> None:
    generator = np.random.default_rng(2)
    values = factors(3, 4, 5, repeats=8)
    # Every dimension knows of two factors, so that votes go astray.
    mean = values @ generator.normal(size=(3, 4)) + generator.normal(size=(len(values), 4))
    expected = direct(mean, values, votes=2000, rows=10, generator=generator)
    result = score(represented(mean, truth=truths(values)), votes=2000, test_votes=3000, rows=10)
    assert 0.4 < expected < 0.95
    assert result["factor_vae_score"] == pytest.approx(expected, abs=4 * np.sqrt(2) * result["factor_vae_score_se"])
    assert result["factor_vae_score_se"] == pytest.approx(
        np.sqrt(result["factor_vae_score"] * (1 - result["factor_vae_score"]) / 3000)
    )


def test_the_vote_is_for_the_least_share_of_the_variance() -> None:
    generator = np.random.default_rng(3)
    encoded = represented(
        # Far from 0, where the mean of the squares would leave nothing of a variance.
        generator.normal(size=(50, 3)) * [1, 10, 100] + [1e8, 0, -1e8],
        discrete={"c": generator.dirichlet(np.ones(4) / 4, 50)},
    )
    code = columns(encoded)
    spread = np.array([*encoded.mean.var(0), encoded.discrete[0].probabilities.var(0).sum()])
    rows = generator.integers(50, size=(200, 4))
    votes = least_varying(code, spread, rows)
    for vote, chosen in zip(votes, rows, strict=True):
        shares = [encoded.mean[chosen, d].var() / spread[d] for d in range(3)]
        shares.append(encoded.discrete[0].probabilities[chosen].var(0).sum() / spread[3])
        assert vote == np.argmin(shares)
    assert set(votes.tolist()) == {0, 1, 2, 3}


def test_the_variance_of_sure_categories_is_the_chance_that_two_differ() -> None:
    drawn = np.array([0, 0, 1, 2, 2, 2])
    differ = np.mean(drawn[:, None] != drawn)
    continuous = np.arange(6.0)[:, None]
    code = columns(represented(continuous, discrete={"c": np.eye(3)[drawn]}))
    rows = np.arange(6)[None]
    for share, vote in ((0.99, 1), (1.01, 0)):
        assert least_varying(code, np.array([continuous.var(), differ / share]), rows).tolist() == [vote]


def test_dimensions_that_are_constant_in_a_vote_tie_exactly() -> None:
    # In floating point 0.1 + 0.1 + 0.1 is not 3 · 0.1: a deviation from the mean is not 0.
    code = columns(represented(np.stack([np.arange(7.0), np.full(7, 0.1), np.full(7, 0.3)], axis=1)))
    assert least_varying(code, np.ones(3), np.array([[0, 1, 2], [4, 4, 4]])).tolist() == [1, 0]
    assert least_varying(code, np.array([1, 1, 1e9]), np.array([[0, 1, 2], [4, 4, 4]])).tolist() == [1, 0]


def test_the_majority_vote_by_hand() -> None:
    train = np.array([[5, 1, 0, 2], [1, 6, 0, 2]])
    assert majority_accuracy(train, np.array([[3, 1, 4, 2], [1, 4, 0, 3]])) == pytest.approx((3 + 4 + 2) / 18)


def test_the_order_and_the_units_of_the_variables_change_nothing() -> None:
    generator = np.random.default_rng(4)
    values = factors(3, 4, 5, repeats=4)
    mean = values @ generator.normal(size=(3, 4)) + generator.normal(size=(len(values), 4))
    expected = score(represented(mean, 0.01, truth=truths(values)))
    units = np.array([1e-3, 1.0, 1e3, 7.0])
    changed = score(represented((mean * units)[:, [2, 0, 3, 1]], units[[2, 0, 3, 1]] * 0.01, truth=truths(values)))
    assert changed["factor_vae_score"] == expected["factor_vae_score"]
    assert 0.3 < expected["factor_vae_score"] < 1


def test_a_rotation_of_two_factors_halves_the_score() -> None:
    values = factors(8, 8, repeats=10)
    turned = values @ np.array([[1.0, 1.0], [1.0, -1.0]])
    straight, rotated = (score(represented(mean, truth=truths(values))) for mean in (values * 1.0, turned))
    assert straight["factor_vae_score"] == 1
    # Both dimensions vary alike whichever factor is fixed.
    assert rotated["factor_vae_score"] == pytest.approx(0.5, abs=4 * rotated["factor_vae_score_se"] + 0.03)


def test_noise_scores_chance() -> None:
    values = factors(4, 4, 4, repeats=300)
    noise = np.random.default_rng(5).normal(size=(len(values), 6))
    result = score(represented(noise, truth=truths(values)), votes=3000, test_votes=3000)
    assert result["factor_vae_score"] == pytest.approx(1 / 3, abs=4 * result["factor_vae_score_se"] + 0.02)


def test_a_second_code_of_a_factor_costs_nothing() -> None:
    values = factors(3, 4, repeats=10)
    assert score(represented(values[:, [0, 1, 1]] * 1.0, truth=truths(values)))["factor_vae_score"] == 1


def test_a_discrete_variable_can_stand_for_a_factor() -> None:
    values = factors(3, 4, repeats=10)
    result = score(represented(values[:, 1:] * 1.0, discrete={"c": np.eye(3)[values[:, 0]]}, truth=truths(values)))
    assert result["factor_vae_score"] == 1
    assert list(result["factor_vae_score_votes"]["shape"]) == ["c"]


def test_factors_of_nuisance_take_part() -> None:
    values = factors(3, 4, repeats=10)
    result = score(represented(values * 1.0, truth=truths(values, nuisance=["shape"])))
    assert list(result["factor_vae_score_votes"]) == ["shape", "size"]


def test_collapsed_variables_have_no_vote() -> None:
    values = factors(3, 4, repeats=20)
    generator = np.random.default_rng(6)
    # The collapsed one has all of the first factor, in steps of a thousandth of its deviation.
    mean = np.hstack([values + 0.2 * generator.normal(size=values.shape), values[:, :1] * 1e-3])
    encoded = represented(mean, [[0.1, 0.1, 1.0]], truth=truths(values))
    kept = score(encoded)
    assert kept["factor_vae_score_dimensions"] == 2
    assert list(kept["factor_vae_score_votes"]["shape"]) == ["z[0]"]
    everything = score(encoded, least_std=0.0)
    assert everything["factor_vae_score_dimensions"] == 3
    assert list(everything["factor_vae_score_votes"]["shape"]) == ["z[2]"]


def test_rows_of_unknown_value_have_no_part_in_a_factors_votes() -> None:
    values = factors(3, 4, repeats=10)
    mean = values * 1.0
    mean[:40] = np.random.default_rng(7).normal(size=(40, 2)) * 3
    unknown = values.copy()
    unknown[:40] = UNKNOWN
    assert score(represented(mean, truth=truths(unknown)))["factor_vae_score"] == 1
    assert score(represented(mean, truth=truths(values)))["factor_vae_score"] < 1


def test_a_variable_that_no_training_vote_is_for_is_wrong() -> None:
    train, test = np.array([[4, 0], [0, 0]]), np.array([[3, 2], [0, 0]])
    assert majority_accuracy(train, test) == pytest.approx(3 / 5)


def test_the_same_seed_scores_the_same() -> None:
    values = factors(3, 4, repeats=3)
    mean = values + np.random.default_rng(8).normal(size=values.shape)
    encoded = represented(mean, truth=truths(values))
    assert score(encoded, seed=1) == score(encoded, seed=1)
    assert score(encoded, seed=1)["factor_vae_score"] != score(encoded, seed=2)["factor_vae_score"]


def test_more_votes_than_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = factors(3, 4, repeats=3)
    encoded = represented(values * 1.0, truth=truths(values))
    monkeypatch.setattr("hfvae_runner.metrics.factor_vae_score._AT_ONCE", 1)
    result = score(encoded, votes=50, test_votes=50)
    assert sum(sum(each.values()) for each in result["factor_vae_score_votes"].values()) == 50
    assert result["factor_vae_score"] == 1


@pytest.mark.parametrize(
    ("mean", "values", "why", "dimensions"),
    [
        (np.arange(12.0)[:, None] * [1, -1], np.stack([np.arange(12) % 3, np.zeros(12, int)], 1), "two factors", 2),
        (np.arange(12.0)[:, None], np.stack([np.arange(12) % 3, np.arange(12)], 1), "two factors", 1),
        (np.zeros((12, 3)), np.stack([np.arange(12) % 3, np.arange(12) % 2], 1), "no latent variable varies", 0),
        (np.arange(12.0)[:, None], np.empty((12, 0), int), "two factors", 1),
    ],
)
def test_an_undefined_score_says_why(mean: Any, values: Any, why: str, dimensions: int) -> None:
    result = score(represented(mean, truth=truths(values)))
    for name in ("factor_vae_score", "factor_vae_score_train", "factor_vae_score_se", "factor_vae_score_votes"):
        assert result[name] is None
        assert why in result[f"{name}_why"]
    assert result["factor_vae_score_dimensions"] == dimensions


def test_a_single_variable_names_one_factor() -> None:
    values = factors(3, 4, repeats=10)
    result = score(represented(values[:, :1] * 1.0, truth=truths(values)))
    assert result["factor_vae_score"] == pytest.approx(0.5, abs=4 * result["factor_vae_score_se"])


def test_a_variance_of_one_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows=1: expected 2 or more"):
        score(represented([[0.0]]), rows=1)
