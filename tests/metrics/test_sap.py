"""SAP against its definition, the best thresholds against all others, and what it says of codes made by hand."""

from itertools import combinations
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from subjects import NAMES, factors, represented, subject, truths

from hfvae_runner.metrics._columns import columns
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Truth
from hfvae_runner.metrics.sap import balanced_accuracy, best_thresholds, explained_variance, predictability, sap

Kind = Literal["by_factor", "regression", "classification"]

KINDS: tuple[Kind, ...] = ("regression", "classification")


def measured(
    encoded: Representation,
    kind: Kind = "by_factor",
    *,
    train_rows: int = 600,
    test_rows: int = 300,
    least_std: float = 0.05,
) -> dict[str, Any]:
    return dict(sap(subject(encoded), kind=kind, train_rows=train_rows, test_rows=test_rows, least_std=least_std))


def most_balanced(numbers: Floats, classes: Integers, intervals: int) -> float:
    """The most balanced accuracy of any cuts, by trying them all, with the best class for each interval."""
    line = np.unique(numbers)
    best = 0.0
    for cuts in range(min(intervals, len(line))):
        for places in combinations(line[1:].tolist(), cuts):
            shares = np.zeros((cuts + 1, classes.max() + 1))
            for number, label in zip(numbers, classes, strict=True):
                shares[sum(number >= place for place in places), label] += 1 / np.sum(classes == label)
            best = max(best, shares.max(1).sum() / shares.shape[1])
    return best


@settings(max_examples=150)
@given(st.data())
def test_no_other_thresholds_do_better(data: st.DataObject) -> None:
    names = data.draw(st.integers(1, 3))
    size = data.draw(st.integers(names, 8))
    # Few different numbers, so that there are ties.
    numbers = np.array(data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)), dtype=float)
    drawn = data.draw(st.lists(st.integers(0, names - 1), min_size=size - names, max_size=size - names))
    classes = np.array([*range(names), *drawn])
    intervals = data.draw(st.integers(1, 4))
    found = best_thresholds(numbers, classes, intervals)
    assert len(found.classes) == len(found.cuts) + 1 <= intervals
    assert (np.diff(found.cuts) > 0).all()
    reached = balanced_accuracy(found.predict(numbers), classes)
    assert reached == pytest.approx(most_balanced(numbers, classes, intervals))


def test_a_threshold_lies_in_the_middle() -> None:
    found = best_thresholds(np.array([0.0, 1.0, 2.0, 5.0]), np.array([0, 0, 1, 1]), 2)
    assert found.cuts.tolist() == [1.5]
    assert found.predict(np.array([-9.0, 1.4, 1.5, 9.0])).tolist() == [0, 0, 1, 1]


def test_neighbouring_numbers_are_told_apart() -> None:
    pair = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert best_thresholds(pair, np.array([1, 0]), 2).predict(pair).tolist() == [1, 0]


def test_balanced_accuracy_by_hand() -> None:
    assert balanced_accuracy(np.array([0, 0, 0, 0, 2]), np.array([0, 0, 0, 2, 2])) == pytest.approx((1 + 1 / 2) / 2)


def test_the_threshold_between_two_normals_in_closed_form() -> None:
    generator = np.random.default_rng(1)
    # A class four times as frequent counts no more.
    classes = (generator.random(60_000) < 0.2).astype(np.int64)
    numbers = generator.normal(size=60_000)[:, None] + 1.5 * classes[:, None]
    score = predictability(numbers[:40_000], classes[:40_000], numbers[40_000:], classes[40_000:])
    assert score == pytest.approx(norm.cdf(0.75), abs=0.01)


def test_noise_predicts_nothing_on_other_rows() -> None:
    generator = np.random.default_rng(2)
    numbers, classes = generator.normal(size=(4000, 1)), generator.integers(20, size=4000)
    score = predictability(numbers[:2000], classes[:2000], numbers[2000:], classes[2000:])
    assert score == pytest.approx(1 / 20, abs=0.02)
    # On the rows that they were fitted on, 19 thresholds look far better than that.
    assert predictability(numbers[:2000], classes[:2000], numbers[:2000], classes[:2000]) > 0.08


def test_the_explained_variance_is_the_squared_correlation() -> None:
    generator = np.random.default_rng(3)
    values = generator.integers(6, size=300)
    mean = values[:, None] * [1.0, -3.0, 0.0] + generator.normal(size=(300, 3)) * [0.5, 9.0, 1.0]
    encoded = represented(np.hstack([mean, np.full((300, 1), 0.1)]))
    expected = [np.corrcoef(column, values)[0, 1] ** 2 for column in mean.T]
    assert explained_variance(columns(encoded), values.astype(float)) == pytest.approx([*expected, 0])


def test_a_discrete_variable_explains_what_all_its_probabilities_do() -> None:
    generator = np.random.default_rng(4)
    probabilities = generator.dirichlet(np.ones(4), 200)
    values = probabilities @ [3.0, 1, 0, -2] + generator.normal(size=200)
    design = np.hstack([probabilities, np.ones((200, 1))])
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    code = columns(represented(np.zeros((200, 1)), discrete={"c": probabilities}))
    assert explained_variance(code, values) == pytest.approx([0, 1 - left.var() / values.var()])


def test_categories_stand_for_the_class_of_which_they_have_most() -> None:
    train, values = np.eye(4)[[0, 0, 0, 0, 0, 0, 1, 1, 1, 2]], np.array([5, 5, 5, 5, 5, 5, 5, 5, 3, 3])
    # Category 1 has a quarter of value 5 and half of value 3, though fewer examples of it. None is in category 3.
    test, truth = np.eye(4)[[0, 1, 2, 3]], np.array([5, 3, 3, 3])
    assert predictability(train, values, test, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_a_code_that_copies_the_factors() -> None:
    values = factors(5, 6, repeats=30)
    noise = np.random.default_rng(5).normal(size=(len(values), 1))
    copied = represented(np.hstack([values * [1e-3, -50.0], noise]), 1e-4, truth=truths(values))
    regression = measured(copied, "regression")
    assert list(regression["sap_per_factor"].values()) == pytest.approx([1, 1], abs=0.02)
    classification = measured(copied, "classification")
    assert list(classification["sap_per_factor"].values()) == pytest.approx([1 - 1 / 5, 1 - 1 / 6], abs=0.1)
    for result in (regression, classification):
        assert result["sap"] == pytest.approx(np.mean(list(result["sap_per_factor"].values())))


def test_the_gap_of_a_noisy_channel_in_closed_form() -> None:
    values = factors(10, 10, repeats=100)
    deviations = np.array([1.0, 4.0])
    noisy = values + np.random.default_rng(6).normal(size=values.shape) * deviations
    gaps = measured(represented(noisy, truth=truths(values)))["sap_per_factor"]
    # R² = Var v / (Var v + Var ε), with Var v = (10² − 1)/12; the other variable has none.
    assert list(gaps.values()) == pytest.approx(99 / 12 / (99 / 12 + deviations**2), abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_two_codes_of_a_factor_leave_no_gap(kind: Kind) -> None:
    values = factors(5, 6, repeats=30)
    result = measured(represented(values[:, [0, 1, 1]] * 1.0, truth=truths(values)), kind)
    assert result["sap_per_factor"]["size"] == 0
    assert result["sap_per_factor"]["shape"] > 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotation_by_45_degrees_leaves_no_gap(kind: Kind) -> None:
    values = factors(8, 8, repeats=40)
    turned = values @ np.array([[1.0, 1.0], [1.0, -1.0]])
    result = measured(represented(turned, truth=truths(values)), kind, train_rows=1800, test_rows=700)
    assert result["sap"] == pytest.approx(0, abs=0.04)


def test_the_order_and_the_units_of_the_variables_change_nothing() -> None:
    generator = np.random.default_rng(7)
    values = factors(5, 6, repeats=30)
    mean = values @ generator.normal(size=(2, 3)) + generator.normal(size=(len(values), 3))
    units = np.array([1e-3, 1.0, 1e3])
    for kind in KINDS:
        first = measured(represented(mean, truth=truths(values)), kind)
        second = measured(represented((mean * units)[:, [2, 0, 1]], units[[2, 0, 1]] * 0.1, truth=truths(values)), kind)
        assert second["sap_per_factor"] == pytest.approx(first["sap_per_factor"], abs=1e-12)
        assert first["sap"] > 0


def test_a_collapsed_variable_scores_nothing() -> None:
    values = factors(5, 6, repeats=30)
    faint = np.hstack([values, values * 1e-3])
    encoded = represented(faint, [[0.1, 0.1, 1.0, 1.0]], truth=truths(values))
    for kind in KINDS:
        assert measured(encoded, kind, least_std=0.0)["sap"] == pytest.approx(0, abs=1e-9)
        assert measured(encoded, kind)["sap"] > 0.7
    assert measured(represented(np.full((900, 2), 0.1), truth=truths(values)))["sap"] == 0


def test_by_factor_names_are_classified_and_magnitudes_regressed() -> None:
    generator = np.random.default_rng(8)
    values = factors(4, 5, repeats=45)
    mean = values + generator.normal(size=values.shape)
    truth = truths(values, nuisance=["shape"])
    each = {kind: measured(represented(mean, truth=truth), kind) for kind in KINDS}
    result = measured(represented(mean, truth=truth))
    assert result["sap_per_factor"]["shape"] == each["classification"]["sap_per_factor"]["shape"]
    assert result["sap_per_factor"]["size"] == each["regression"]["sap_per_factor"]["size"]
    # Factors of nuisance are left out of the mean.
    assert result["sap"] == result["sap_per_factor"]["size"]
    labelled = represented(mean, truth={"label": values[:, 0]}, label=values[:, 0])
    assert measured(labelled)["sap"] == each["classification"]["sap_per_factor"]["shape"]


def test_a_discrete_variable_can_stand_for_a_factor() -> None:
    values = factors(3, 5, repeats=60)
    code = represented(values[:, 1:] * 1.0, discrete={"c": np.eye(3)[values[:, 0]]}, truth=truths(values))
    assert measured(code, "regression")["sap"] == pytest.approx(1, abs=0.02)
    assert measured(code, "classification")["sap_per_factor"]["shape"] == pytest.approx(1 - 1 / 3, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_unknown_value_have_no_part_in_a_factor(kind: Kind) -> None:
    values = factors(5, 6, repeats=30)
    mean = values * 1.0
    mean[::3] = 77
    unknown = values.copy()
    unknown[::3] = UNKNOWN
    assert measured(represented(mean, truth=truths(unknown)), kind)["sap"] > 0.7
    assert measured(represented(mean, truth=truths(values)), kind)["sap"] < 0.65


def test_a_value_that_is_only_among_the_rows_to_score_is_never_predicted() -> None:
    values = np.array([0, 1] * 10 + [0, 1, 2, 2] * 3)
    code = represented(np.stack([values, np.zeros(32)], axis=1), truth={"v": values, "w": values % 2})
    gap = measured(code, "classification", train_rows=20, test_rows=12)["sap_per_factor"]["v"]
    # Two of three values, and nothing of the constant.
    assert gap == pytest.approx(2 / 3)


def test_factors_without_two_values_are_null() -> None:
    values = np.hstack([factors(5, 6, repeats=20), np.zeros((600, 1), int)])
    for kind in KINDS:
        result = measured(represented(values[:, :2] * 1.0, truth=truths(values)), kind)
        assert result["sap_per_factor"]["x"] is None
        assert result["sap"] == pytest.approx(np.mean([result["sap_per_factor"][name] for name in NAMES[:2]]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_undefined_score_says_why(kind: Kind) -> None:
    values = factors(5, 6, repeats=2)
    lone = measured(represented(values[:, :1] * 1.0, truth=truths(values)), kind)
    assert lone["sap"] is None
    assert lone["sap_per_factor"] is None
    assert "two latent variables" in lone["sap_why"]
    for truth in ([], [Truth("v", np.full(60, UNKNOWN), 2)], truths(values, nuisance=["shape", "size"])):
        result = measured(represented(values * 1.0, truth=truth), kind)
        assert result["sap"] is None
        assert "nuisance" in result["sap_why"]
        assert list(result["sap_per_factor"]) == [each.name for each in truth]


def test_a_single_example_is_too_few_to_classify() -> None:
    result = measured(represented([[0.0, 1.0]], truth={"v": [1]}), "classification")
    assert result["sap"] is None
    assert result["sap_per_factor"] == {"v": None}
