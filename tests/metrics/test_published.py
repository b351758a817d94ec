"""The metrics of the field's tables: known answers, and plain implementations of their published definitions."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from subjects import NAMES, factors, represented, subject, truths

from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics import UNKNOWN, Representation, Truth
from hfvae_runner.metrics._subject import Floats, Integers
from hfvae_runner.metrics.mig_binned import mig_binned
from hfvae_runner.metrics.published_beta_vae_score import published_beta_vae_score
from hfvae_runner.metrics.published_dci import concentrated, published_dci
from hfvae_runner.metrics.published_factor_vae_score import accuracy, published_factor_vae_score
from hfvae_runner.metrics.published_mig import published_mig
from hfvae_runner.metrics.published_modularity import published_modularity
from hfvae_runner.metrics.published_sap import published_sap

VOTES: dict[str, Any] = {"votes": 600, "test_votes": 400}
FACTOR: dict[str, Any] = {**VOTES, "rows": 16, "variance_rows": 10_000, "least_std": 0.05}
OPTIONS: dict[Any, dict[str, Any]] = {
    published_mig: {"samples": 10_000, "bins": 20},
    published_modularity: {"rows": 10_000, "bins": 20},
    published_sap: {"train_rows": 200, "test_rows": 100, "penalty": 0.01},
    published_dci: {"train_rows": 200, "test_rows": 100},
    published_factor_vae_score: FACTOR,
    published_beta_vae_score: {**VOTES, "pairs": 16},
}


def measured(metric: Any, encoded: Representation, seed: int = 0, **options: Any) -> dict[str, Any]:
    return dict(metric(subject(encoded, seed=seed), **{**OPTIONS[metric], **options}))


def mixed(repeats: int = 5) -> tuple[Floats, Integers]:
    """Four latents of three factors: two copies, a mixture, and noise; 60 combinations."""
    values = factors(3, 4, 5, repeats=repeats)
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((len(values), 4)) * (0.1, 0.3, 0.5, 1)
    code = np.stack([values[:, 0], values[:, 1], values[:, 0] + values[:, 2], 0 * values[:, 0]], axis=1) + noise
    return code, values


@pytest.fixture
def code() -> tuple[Floats, Integers, Representation]:
    mean, values = mixed()
    return mean, values, represented(mean, truth=truths(values))


@pytest.mark.parametrize("metric", OPTIONS)
def test_a_metric_without_factors_or_with_one_that_is_constant_is_null(metric: Any) -> None:
    mean = np.random.default_rng(0).standard_normal((60, 3))
    for truth in ({}, {"constant": np.zeros(60)}):
        result = measured(metric, represented(mean, truth=truth))
        assert result[metric.__name__] is None and result[f"{metric.__name__}_why"]


@pytest.mark.parametrize(
    "metric", [pytest.param(each, marks=pytest.mark.slow if each is published_dci else ()) for each in OPTIONS]
)
def test_rows_without_a_known_value_have_no_part_and_scales_none_at_all(metric: Any) -> None:
    mean, values = mixed(10)
    unknown = np.arange(len(values)) % 7 == 0
    hidden = [Truth(name, np.where(unknown, UNKNOWN, column), 5) for name, column in zip(NAMES, values.T, strict=True)]
    one = measured(metric, represented(mean, truth=hidden))
    wrong = np.where(unknown[:, None], 100.0, mean)
    if metric in (published_sap, published_dci, published_beta_vae_score):
        # The extremes that bins lie between, and a variable's spread, are of all rows.
        assert measured(metric, represented(wrong, truth=hidden)) == one
    assert measured(metric, represented(mean, 5.0, truth=hidden)) == one


@pytest.mark.parametrize("metric", OPTIONS)
def test_a_code_that_tells_scores_above_one_of_noise(metric: Any) -> None:
    values = factors(3, 4, 5, repeats=20)
    generator = np.random.default_rng(1)
    copied = represented(values + 0.05 * generator.standard_normal(values.shape), truth=truths(values))
    noise = represented(generator.standard_normal(values.shape), truth=truths(values))
    high, low = (measured(metric, each)[metric.__name__] for each in (copied, noise))
    if metric is published_dci:
        high, low = min(high.values()), max(low.values())
    assert high > low + 0.1


def test_mig_is_the_binned_one_with_all_factors_in_the_mean(code: tuple[Floats, Integers, Representation]) -> None:
    mean, values, encoded = code
    result = measured(published_mig, encoded)
    gaps = {}
    for name, factor in zip(NAMES, values.T, strict=True):
        codes = [np.digitize(z, np.histogram(z, 20)[1][:-1]) for z in mean.T]
        *_, second, first = sorted(mutual_info_score(factor, each) for each in codes)
        gaps[name] = (first - second) / mutual_info_score(factor, factor)
    assert result["published_mig_per_factor"] == pytest.approx(gaps)
    assert result["published_mig"] == pytest.approx(np.mean(list(gaps.values())))
    ours = mig_binned(subject(encoded), samples=10_000, bins=20)
    assert ours["mig_binned"] == pytest.approx(result["published_mig"])
    nuisance = represented(mean, truth=truths(values, nuisance=["shape"]))
    assert measured(published_mig, nuisance) == result
    assert mig_binned(subject(nuisance), samples=10_000, bins=20)["mig_binned"] != ours["mig_binned"]


def test_modularity_counts_a_variable_that_knows_nothing_as_nothing() -> None:
    values = factors(3, 4, 5)
    mean = np.hstack([values, np.ones((60, 1))])
    result = measured(published_modularity, represented(mean, truth=truths(values)))
    assert result["published_modularity"] == pytest.approx(3 / 4)
    assert list(result["published_modularity_per_variable"].values()) == pytest.approx([1, 1, 1, 0])


def test_modularity_of_a_mixture_is_that_of_its_informations(code: tuple[Floats, Integers, Representation]) -> None:
    mean, values, encoded = code
    scores = []
    for z in mean.T:
        cells = np.digitize(z, np.histogram(z, 20)[1][:-1])
        squares = np.array([mutual_info_score(factor, cells) for factor in values.T]) ** 2
        scores.append(1 - (squares.sum() - squares.max()) / (squares.max() * 2))
    result = measured(published_modularity, encoded)
    assert result["published_modularity"] == pytest.approx(np.mean(scores))


def test_sap_by_support_vector_machines(code: tuple[Floats, Integers, Representation]) -> None:
    mean, values, encoded = code
    gaps = []
    for factor in values.T:
        scores = []
        for z in mean.T:
            # The dual problem, as in the tables; with enough steps its solution is that of the primal.
            machine = LinearSVC(C=0.01, class_weight="balanced", dual=True, max_iter=200_000, tol=1e-8, random_state=0)
            machine.fit(z[:200, None], factor[:200])
            scores.append(np.mean(machine.predict(z[200:, None]) == factor[200:]))
        *_, second, first = sorted(scores)
        gaps.append(first - second)
    result = measured(published_sap, encoded)
    assert list(result["published_sap_per_factor"].values()) == pytest.approx(gaps, abs=0.011)
    assert result["published_sap"] == pytest.approx(np.mean(gaps), abs=0.011)


def test_sap_of_two_values_is_one_half() -> None:
    values = factors(2, 2, repeats=75)
    result = measured(published_sap, represented(values * 1.0, truth=truths(values)))
    # The right variable is always right, the other one a coin.
    assert result["published_sap"] == pytest.approx(0.5, abs=0.1)


def test_dci_by_classifiers(code: tuple[Floats, Integers, Representation]) -> None:
    mean, values, encoded = code
    result = measured(published_dci, encoded)
    importance, right = [], []
    for factor in values.T:
        model = GradientBoostingClassifier(random_state=1).fit(mean[:200], factor[:200])
        importance.append(model.feature_importances_)
        right.append(np.mean(model.predict(mean[200:]) == factor[200:]))
    table = np.array(importance).T
    assert result["published_dci"]["informativeness"] == pytest.approx(np.mean(right), abs=0.02)

    def entropy(p: Floats) -> float:
        p = (p + 1e-11) / (p + 1e-11).sum()
        return float(-(p * np.log(p)).sum() / np.log(len(p)))

    d = sum((1 - entropy(row)) * row.sum() / table.sum() for row in table)
    c = sum((1 - entropy(column)) * column.sum() / table.sum() for column in table.T)
    assert result["published_dci"]["disentanglement"] == pytest.approx(d, abs=0.02)
    assert result["published_dci"]["completeness"] == pytest.approx(c, abs=0.02)
    assert concentrated(table) == pytest.approx(d, abs=1e-8) and concentrated(table.T) == pytest.approx(c, abs=1e-8)


def test_dci_of_a_code_that_is_the_same_for_all_is_0() -> None:
    values = factors(3, 4, 5)
    result = measured(published_dci, represented(np.ones((60, 2)), truth=truths(values)), train_rows=40, test_rows=20)
    assert result["published_dci"]["disentanglement"] == result["published_dci"]["completeness"] == 0


def test_dci_parts_that_need_a_second_of_something() -> None:
    values = factors(3, 4, repeats=10)
    result = measured(published_dci, represented(values[:, :1] * 1.0, truth=truths(values[:, :1])))
    assert result["published_dci"] == {"disentanglement": None, "completeness": None, "informativeness": 1}
    assert "two factors" in result["published_dci_disentanglement_why"]
    assert "two latent variables" in result["published_dci_completeness_why"]


def test_the_factor_vae_score_of_copies_and_of_a_code_that_moves_too_little() -> None:
    values = factors(3, 4, 5, repeats=5)
    copies = represented(values * 1.0, truth=truths(values))
    result = measured(published_factor_vae_score, copies)
    assert result == {
        "published_factor_vae_score": 1, "published_factor_vae_score_train": 1,
        "published_factor_vae_score_se": 0, "published_factor_vae_score_dimensions": 3,
    }  # fmt: skip
    # The deviation of 0, 1, 2 is 0.82: with a code of 0.055 times that it is 0.045.
    small = represented(np.hstack([values[:, :1] * 0.055, values[:, 1:]]), truth=truths(values))
    assert measured(published_factor_vae_score, small)["published_factor_vae_score_dimensions"] == 2
    nothing = measured(published_factor_vae_score, represented(values * 1e-3, truth=truths(values)))
    assert nothing == dict.fromkeys(result, 0)
    constant = measured(published_factor_vae_score, represented(np.ones((300, 2)), truth=truths(values)), least_std=0)
    assert constant == dict.fromkeys(result, 0)


def test_a_variable_without_a_training_vote_stands_for_the_first_factor() -> None:
    train, votes = np.array([[3, 0, 0], [1, 4, 0]]), np.array([[2, 1, 2], [1, 3, 1]])
    assert accuracy(train, votes) == pytest.approx((2 + 3 + 2) / 10)


def test_the_factor_vae_score_by_a_plain_loop(code: tuple[Floats, Integers, Representation]) -> None:
    mean, values, encoded = code
    generator = np.random.default_rng(5)
    spread = mean.var(axis=0, ddof=1)
    table = np.zeros((2, 3, 4))
    for part, count in enumerate((1500, 3000)):
        for _ in range(count):
            k = generator.integers(3)
            rows = np.flatnonzero(values[:, k] == generator.choice(values[:, k]))
            drawn = mean[generator.choice(rows, 16)]
            table[part, k, np.argmin(drawn.var(axis=0, ddof=1) / spread)] += 1
    expected = table[1][table[0].argmax(axis=0), range(4)].sum() / 3000
    result = measured(published_factor_vae_score, encoded, votes=1500, test_votes=3000)
    assert result["published_factor_vae_score"] == pytest.approx(expected, abs=0.05)
    assert 0.4 < expected < 1


def test_the_beta_vae_score_by_a_plain_loop() -> None:
    values = factors(3, 4, 5, repeats=5)
    # So small that the penalty leaves the classifier little: standardised it would score 1.
    mean = values * 0.01 + 0.002 * np.random.default_rng(0).standard_normal(values.shape)
    generator = np.random.default_rng(5)

    def votes(count: int) -> tuple[Floats, Integers]:
        points, label = np.empty((count, 3)), generator.integers(3, size=count)
        for vote, k in enumerate(label):
            first = generator.integers(len(values), size=16)
            second = [generator.choice(np.flatnonzero(values[:, k] == values[row, k])) for row in first]
            points[vote] = np.abs(mean[first] - mean[second]).mean(axis=0)
        return points, label

    model = OneVsRestClassifier(LogisticRegression(solver="liblinear")).fit(*votes(600))
    expected = model.score(*votes(1500))
    result = measured(published_beta_vae_score, represented(mean, truth=truths(values)), test_votes=4000)
    assert result["published_beta_vae_score"] == pytest.approx(expected, abs=0.1)
    assert expected < 0.9
    large = measured(published_beta_vae_score, represented(mean * 100, truth=truths(values)))
    assert large["published_beta_vae_score"] > 0.98


@pytest.mark.parametrize("metric", OPTIONS)
def test_a_discrete_variable_counts_as_one(metric: Any) -> None:
    values = factors(3, 4, repeats=25)
    probabilities = np.eye(3)[values[:, 0]] * 0.97 + 0.01
    mean = values[:, 1:] + 0.01 * np.random.default_rng(0).standard_normal((300, 1))
    result = measured(metric, represented(mean, truth=truths(values), discrete={"c": probabilities}))
    score = result[metric.__name__]
    score = min(score.values()) if metric is published_dci else score
    assert score > (0.3 if metric is published_sap else 0.95)


def test_a_vote_of_one_row_has_no_variance(code: tuple[Floats, Integers, Representation]) -> None:
    with pytest.raises(ConfigError, match=r"published_factor_vae_score.rows=1: expected 2 or more"):
        measured(published_factor_vae_score, code[2], rows=1)
