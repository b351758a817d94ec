"""The gap of HFVAE Fig. 8 and the reasons why it may not exist."""

import numpy as np
import pytest

from hfvae_runner.metrics.label_information_gap import label_information_gap


def test_the_best_continuous_factor_is_subtracted():
    value, why = label_information_gap(np.array([1.5]), np.array([0.1, 0.4, 0.2]))
    assert value == pytest.approx(1.1)
    assert isinstance(value, float)
    assert why is None


def test_the_gap_is_negative_where_a_continuous_factor_knows_more():
    assert label_information_gap(np.array([0.02]), np.array([0.5])).value == pytest.approx(-0.48)


def test_of_several_discrete_variables_the_best_counts():
    assert label_information_gap(np.array([0.2, 0.9]), np.array([0.5])).value == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("discrete", "continuous", "missing"), [([], [0.5], "discrete"), ([0.5], [], "continuous"), ([], [], "discrete")]
)
def test_an_undefined_gap_says_why(discrete, continuous, missing):
    gap = label_information_gap(np.array(discrete), np.array(continuous))
    assert gap.value is None
    assert missing in (gap.why or "")
