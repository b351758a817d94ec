"""Intervals: coverage on draws of a known distribution, closed forms, and degenerate samples."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hfvae_runner.reproduce.statistics import (
    FEWEST_TO_COMPARE,
    best_of,
    interval_of_published,
    mean,
    probability_of_improvement,
    rank_correlation,
    share_explained,
)

numbers = st.lists(st.floats(-1e3, 1e3), min_size=FEWEST_TO_COMPARE, max_size=8)


def test_the_interval_of_a_mean_covers_it() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        found = mean(generator.normal(3.0, 2.0, size=30).tolist())
        assert found.low is not None and found.high is not None
        inside += found.low <= 3.0 <= found.high
    # 95 % nominal; the percentile bootstrap of 30 values covers a little less.
    assert 0.88 <= inside / 200 <= 0.99


def test_one_value_has_no_interval_and_equal_values_have_a_narrow_one() -> None:
    assert mean([2.0]) == mean([1.0, 3.0]) == (2.0, None, None)
    assert mean([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


@settings(max_examples=20)
@given(numbers, numbers)
def test_the_probability_of_improvement_is_the_share_of_pairs(x: list[float], y: list[float]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(x, y)]
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.high <= 1
    # Mann and Whitney's U counts the same pairs.
    assert found.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / len(pairs))


@settings(max_examples=50)
@given(numbers, st.integers(1, 8))
def test_the_best_of_k_is_the_mean_over_all_choices(values: list[float], k: int) -> None:
    largest = [max(choice) for choice in itertools.combinations(values, k)]
    found = best_of(values, k)
    if k > len(values):
        assert found is None
    else:
        assert found == pytest.approx(float(np.mean(largest)), abs=1e-9)


def test_the_bootstrap_of_the_best_of_four_would_be_too_narrow() -> None:
    """Why it has no interval: of 4 of 8 standard normal values, an interval of 95 % would cover the truth in 71 %."""
    generator = np.random.default_rng(1)
    truth = generator.normal(size=(100_000, 4)).max(1).mean()
    inside = 0
    for _ in range(300):
        values = generator.normal(size=8)
        drawn = [best_of(values[chosen], 4) for chosen in generator.integers(8, size=(200, 8))]
        low, high = np.quantile(np.asarray(drawn, float), [0.025, 0.975])
        inside += bool(low <= truth <= high)
    assert 0.6 <= inside / 300 <= 0.8


def test_few_runs_decide_nothing() -> None:
    assert probability_of_improvement([2, 3, 4], [1, 1, 1, 1]) == (1.0, None, None)
    assert probability_of_improvement([2, 3, 4, 5], [1, 1, 1, 1]) == (1.0, 1.0, 1.0)
    assert rank_correlation([1, 2, 3], [1, 2, 3]) == (pytest.approx(1.0), None, None)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=FEWEST_TO_COMPARE, max_size=9))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    x, y = zip(*pairs, strict=True)
    found = rank_correlation(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found.value) and found.low is None
        return
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low is not None and found.high is not None
    assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9


def test_a_papers_interval_is_students() -> None:
    found = interval_of_published(0.63, 0.08, 10)
    low, high = stats.t.interval(0.95, 9, 0.63, 0.08 / math.sqrt(10))
    assert found == (0.63, pytest.approx(low), pytest.approx(high))
    assert interval_of_published(0.63, None, 10) == interval_of_published(0.63, 0.08, 1) == (0.63, None, None)


def test_groups_that_determine_the_value_explain_all_of_it() -> None:
    assert share_explained([[1.0, 1.0], [2.0, 2.0], [5.0]]) == 1


def test_a_share_by_hand() -> None:
    # Mean squares: within, (1 + 1 + 1 + 1)/2 = 2; in all, of -3, -1, 1, 3: 20/3.
    assert share_explained([[-3.0, -1.0], [1.0, 3.0]]) == pytest.approx(1 - 2 / (20 / 3))


def test_a_random_division_explains_nothing_on_average() -> None:
    generator = np.random.default_rng(0)
    shares = [share_explained(generator.normal(size=(30, 3)).tolist()) for _ in range(300)]
    assert abs(np.mean([share for share in shares if share is not None])) < 0.02
    # The ratio of sums of squares, without the degrees of freedom, would be 29/89.


def test_a_share_recovers_a_known_ratio_of_variances() -> None:
    generator = np.random.default_rng(0)
    groups = generator.normal(size=(4000, 1)) * 3**0.5 + generator.normal(size=(4000, 3))
    assert share_explained(groups.tolist()) == pytest.approx(3 / 4, abs=0.02)


@pytest.mark.parametrize("groups", [[], [[1.0], [2.0]], [[1.0, 1.0], [1.0]]])
def test_a_share_is_not_defined_without_replicates_or_variance(groups: list[list[float]]) -> None:
    assert share_explained(groups) is None
