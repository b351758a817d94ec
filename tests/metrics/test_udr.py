"""UDR: known answers, and a plain loop over models, latents and partners."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from hfvae_runner.config.names import Correlation
from hfvae_runner.metrics._subject import Floats
from hfvae_runner.metrics.udr import agreement, normal_kl, udr

KINDS: tuple[Correlation, ...] = ("spearman", "lasso")


def independent(rows: int = 4000, columns: int = 3, seed: int = 0) -> Floats:
    """Columns without any correlation, of mean 0 and variance 1."""
    values = np.random.default_rng(seed).standard_normal((rows, columns))
    values -= values.mean(axis=0)
    return np.linalg.qr(values)[0] * np.sqrt(rows)


def plain(means: list[Floats], kls: list[Floats], correlation: str) -> list[float]:
    """The definition, one number after the other."""
    scores = []
    for i, of_model in enumerate(means):
        partners = []
        for j, of_partner in enumerate(means):
            if j == i:
                continue
            rows = [a for a in range(of_model.shape[1]) if kls[i][a] > 0.01]
            columns = [b for b in range(of_partner.shape[1]) if kls[j][b] > 0.01]
            mine, its = ((m - m.mean(0)) / m.std(0) for m in (of_model[:, rows], of_partner[:, columns]))
            table = np.empty((len(rows), len(columns)))
            for a in range(len(rows)):
                if correlation == "lasso":
                    table[a] = np.abs(Lasso(0.1).fit(its, mine[:, a]).coef_)
                    continue
                for b in range(len(columns)):
                    table[a, b] = abs(spearmanr(mine[:, a], its[:, b])[0])
            terms = [max(row) ** 2 / sum(row) if sum(row) else 0 for row in table.tolist()]
            terms += [max(column) ** 2 / sum(column) if sum(column) else 0 for column in table.T.tolist()]
            partners.append(sum(terms) / len(terms))
        scores.append(float(np.median(partners)))
    return scores


@pytest.mark.parametrize("correlation", KINDS)
def test_a_plain_loop_says_the_same(correlation: Correlation) -> None:
    generator = np.random.default_rng(0)
    source = generator.standard_normal((150, 4))
    means = [source @ generator.standard_normal((4, d)) + generator.standard_normal((150, d)) for d in (3, 4, 5, 4)]
    kls = [np.array([1, 0.5, 0.011]), np.ones(4), np.array([0, 2, 0.01, 1, 1]), np.array([3, 0.005, 0.2, 1])]
    assert udr(means, kls, correlation=correlation) == pytest.approx(plain(means, kls, correlation))


def test_models_that_differ_in_order_sign_and_unit_agree_fully_and_a_rotated_one_does_not() -> None:
    code = independent()
    turned = code @ np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    means = [code, -code[:, [1, 2, 0]], code[:, [2, 0, 1]] * [0.1, 5, 30], turned]
    *same, other = udr(means, [np.ones(3)] * 4)
    # Ranks of normal numbers are a little correlated where the numbers are not.
    assert same == pytest.approx([1, 1, 1], abs=0.06)
    assert other < 0.8


def test_the_penalty_of_the_lasso_is_taken_off_the_coefficient() -> None:
    code = independent()
    # Of uncorrelated standardised inputs the coefficient is r less the penalty.
    assert udr([code, -code], [np.ones(3)] * 2, correlation="lasso") == pytest.approx([0.9, 0.9])
    assert udr([code, -code], [np.ones(3)] * 2, correlation="lasso", penalty=0.3) == pytest.approx([0.7, 0.7])


def test_latents_without_information_have_no_part() -> None:
    code, noise = independent(), np.random.default_rng(2).standard_normal((4000, 2))
    kls = [np.array([1, 1, 1, 0.01, 0]), np.ones(3)]
    found = udr([np.hstack([code, noise]), code], kls)
    assert found == pytest.approx(udr([code, code], [np.ones(3)] * 2))
    assert udr([np.hstack([code, noise]), code], [np.ones(5), np.ones(3)])[0] < 0.8
    assert udr([code, code], [np.zeros(3), np.ones(3)]) == [0, 0]
    assert udr([code, code], [np.zeros(3), np.ones(3)], correlation="lasso") == [0, 0]


@pytest.mark.parametrize("correlation", KINDS)
def test_a_constant_latent_agrees_with_none(correlation: Correlation) -> None:
    code = independent()
    constant = np.hstack([code[:, :2], np.full((4000, 1), 0.1)])
    found = udr([code[:, :2], constant], [np.ones(2), np.ones(3)], correlation=correlation)
    expected = udr([code[:, :2]] * 2, [np.ones(2)] * 2, correlation=correlation)
    assert found == pytest.approx([4 / 5 * each for each in expected])


def test_a_score_is_the_median_over_the_partners() -> None:
    code, noise = independent(), [np.random.default_rng(seed).standard_normal((4000, 3)) for seed in (3, 4)]
    alike, *_, strange = udr([code, code, code, code, noise[0]], [np.ones(3)] * 5)
    assert alike == pytest.approx(udr([code, code], [np.ones(3)] * 2)[0])
    assert strange < 0.2
    mean_of_two = udr([code, code, noise[1]], [np.ones(3)] * 3)[0]
    assert mean_of_two == pytest.approx((alike + udr([code, noise[1]], [np.ones(3)] * 2)[0]) / 2)


def test_agreement_of_tables() -> None:
    assert agreement(np.eye(3)) == 1
    assert agreement(np.ones((2, 2))) == pytest.approx(0.5)
    assert agreement(np.array([[1, 0], [1, 0]])) == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert agreement(np.zeros((2, 3))) == agreement(np.empty((0, 3))) == 0


def test_the_kl_to_a_standard_normal() -> None:
    mean, scale = np.array([[0.0, 2.0], [0.0, 4.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    assert normal_kl(mean, scale).tolist() == [0, 5]
    assert normal_kl(np.zeros((1, 1)), np.full((1, 1), 0.5)) == pytest.approx([(0.25 - 1) / 2 + np.log(2)])


@pytest.mark.parametrize(
    ("means", "kls"),
    [
        ([np.ones((3, 2))], [np.ones(2)]),
        ([np.ones((3, 2)), np.ones((4, 2))], [np.ones(2)] * 2),
        ([np.ones((3, 2)), np.ones((3, 2))], [np.ones(2), np.ones(3)]),
    ],
)
def test_what_cannot_be_compared(means: list[Floats], kls: list[Floats]) -> None:
    with pytest.raises(ValueError, match="expected"):
        udr(means, kls)
