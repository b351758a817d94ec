"""The drawing of rows that share a factor's value."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from hfvae_runner.metrics._subject import UNKNOWN, Truth
from hfvae_runner.metrics._votes import SharedValues, all_shared_values, batches, shared_values

VALUES = np.array([0, 2, UNKNOWN, 1, 2, 0, 2, UNKNOWN, 3])


def shared() -> SharedValues:
    found = shared_values(Truth("v", VALUES, 4))
    assert found is not None
    return found


def test_rows_that_are_unknown_or_alone_in_their_value_are_left_out() -> None:
    found = shared()
    assert found.rows.tolist() == [0, 5, 1, 4, 6]
    assert found.starts.tolist() == [0, 2]
    assert found.counts.tolist() == [2, 3]


@pytest.mark.parametrize("values", [[0, 0, 0], [0, 1, 2], [UNKNOWN, UNKNOWN, UNKNOWN], [1, 1, UNKNOWN]])
def test_a_factor_of_one_value_or_of_lone_values_shares_none(values: Any) -> None:
    assert shared_values(Truth("v", np.array(values), 3)) is None
    assert list(all_shared_values([Truth("v", np.array(values), 3), Truth("w", np.array([0, 0, 1]), 2)])) == ["w"]


def test_the_rows_of_a_set_share_a_value_that_is_drawn_by_its_frequency() -> None:
    sets = shared().sets(20_000, 3, np.random.default_rng(2))
    assert sets.shape == (20_000, 3)
    values = VALUES[sets]
    assert (values == values[:, :1]).all()
    of_two = values[:, 0] == 2
    assert chisquare([(~of_two).sum(), of_two.sum()], [8000, 12_000]).pvalue > 1e-3
    # Each row of a value is as likely in each place, on its own: 3³ sets of value 2.
    drawn = Counter(map(tuple, sets[of_two].tolist()))
    assert len(drawn) == 27
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def test_each_pair_shares_a_value_of_its_own() -> None:
    first, second = shared().pairs(4000, 5, np.random.default_rng(3))
    assert first.shape == second.shape == (4000, 5)
    assert (VALUES[first] == VALUES[second]).all()
    assert (VALUES[first] != VALUES[first][:, :1]).any()
    # Any row first, and then any row of its value.
    pairs = Counter(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    expected = [20_000 / 5 / (2 if VALUES[a] == 0 else 3) for a, _ in pairs]
    assert len(pairs) == 2 * 2 + 3 * 3
    assert chisquare(list(pairs.values()), expected).pvalue > 1e-3


def test_the_same_seed_draws_the_same_rows() -> None:
    first, second = (shared().sets(50, 4, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_batches_have_all_of_every_kind() -> None:
    assert batches([5, 0, 4], 2) == [(0, 2), (0, 2), (0, 1), (2, 2), (2, 2)]
    assert batches([3], 10) == [(0, 3)]
