"""Which factors are classes as they are, and which are cut into bins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hfvae_runner.config.factor_classes import MOST_VALUES, binned, classes_of

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(300.0) % 120 - 7,  # whole numbers, however many
        np.linspace(-30, 30, 15)[np.arange(300) % 15],  # few that recur, as Shapes3D's orientation
        np.linspace(0, 1, MOST_VALUES)[np.arange(2 * MOST_VALUES) % MOST_VALUES],
        np.full(9, 0.5),
    ],
)
def test_values_that_are_classes(values: NDArray[np.float64]) -> None:
    present, rank = np.unique(values, return_inverse=True)
    found = classes_of(values, 10)
    assert (found.size, found.edges) == (len(present), None)
    assert np.array_equal(found.values, rank)


@pytest.mark.parametrize(
    "values",
    [
        GENERATOR.random(40),  # few, but none of them twice
        np.repeat(GENERATOR.random(MOST_VALUES + 1), 3),
    ],
)
def test_values_that_are_cut_into_bins(values: NDArray[np.float64]) -> None:
    found = classes_of(values, 7)
    assert found.size == 7 and found.edges is not None
    assert found.edges[[0, -1]].tolist() == [values.min(), values.max()]
    assert np.ptp(np.diff(found.edges)) < 1e-12
    assert np.array_equal(found.values, binned(values, 7))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.integers(2, 12))
def test_every_value_lies_within_its_bin(numbers: list[float], bins: int) -> None:
    values = np.array(numbers)
    found = classes_of(values, bins)
    assert found.values.min() >= 0 and found.values.max() < found.size
    # Classes keep the order of the values.
    assert (np.diff(found.values[np.argsort(values)]) >= 0).all()
    if found.edges is not None:
        slack = 1e-9 * max(1.0, np.abs(values).max())
        assert (values >= found.edges[found.values] - slack).all()
        assert (values <= found.edges[found.values + 1] + slack).all()
