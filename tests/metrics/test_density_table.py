"""The tabulated densities of the aggregate posterior against the sums that they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from hfvae_runner.metrics._density_table import DENSITY_ERROR, FEWEST_POINTS, DensityTable, density_table
from hfvae_runner.metrics._subject import Floats, Integers


def normal(z: ArrayLike, mean: ArrayLike, scale: ArrayLike) -> Floats:
    z, mean, scale = np.asarray(z), np.asarray(mean), np.asarray(scale)
    return np.asarray(np.exp(-(((z - mean) / scale) ** 2) / 2) / (scale * np.sqrt(2 * np.pi)))


def mixture(z: Floats, mean: Floats, scale: Floats) -> Floats:
    """1/N Σ_n N(z; m_n, s_n) at each z, [S]."""
    return np.asarray(normal(z[:, None], mean, scale).mean(1))


def table_of(mean: ArrayLike, scale: ArrayLike, group: Integers | None = None, **options: int) -> DensityTable:
    """All rows as group 0, and beside it the given groups, numbered from 1."""
    means, scales = np.asarray(mean, dtype=np.float64), np.asarray(scale, dtype=np.float64)
    groups, sizes = np.zeros((1, len(means)), dtype=np.int64), np.array([len(means)])
    if group is not None:
        groups = np.concatenate([groups, np.where(group < 0, -1, group + 1)[None]])
        sizes = np.concatenate([sizes, np.bincount(group[group >= 0])])
    return density_table(means, scales, groups, sizes, **options)


def places(table: DensityTable) -> Floats:
    return np.asarray(table.start + np.arange(table.density.shape[1]) * table.step)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(0, 7))
def test_every_grid_value_is_the_sum_over_the_rows(seed: int, rows: int, octaves: float) -> None:
    generator = np.random.default_rng(seed)
    mean, scale = generator.normal(size=rows) * 2, 0.05 * 2 ** generator.uniform(0, octaves, rows)
    table = table_of(mean, scale)
    z = places(table)
    expected = mixture(z, mean, scale)
    tolerance = DENSITY_ERROR * (normal(0, 0, scale).mean() + expected.max())
    assert abs(table.density[0].numpy() - expected).max() < tolerance
    # Nothing is cut off.
    assert z[0] <= (mean - 9 * scale).min() and z[-1] >= (mean + 9 * scale).max()


def test_the_grid_is_exact_where_the_scales_are_of_one_octave() -> None:
    generator = np.random.default_rng(0)
    mean, scale = generator.uniform(-3, 3, 5000), generator.uniform(0.1, 0.199, 5000)  # several blocks of rows
    table = table_of(mean, scale)
    expected = mixture(places(table), mean, scale)
    assert table.density[0].numpy() == pytest.approx(expected, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(("reach", "error"), [(1, 2e-9), (2, 2e-9), (4, 1e-7), (6, 1e-4)])
def test_refinement_errs_as_documented(reach: int, error: float) -> None:
    for wide in np.geomspace(1, 100, 15):
        table = table_of([0.0, 0.0], [wide, 1.0], np.array([0, 1]))
        z = places(table)
        near = abs(z) <= reach * wide
        assert abs(table.density[1].numpy()[near] / normal(z[near], 0, wide) - 1).max() < error


@pytest.mark.parametrize(("reach", "error"), [(1, 3e-7), (3, 2e-6), (4, 1e-5), (6, 1e-2)])
def test_reading_a_point_errs_as_documented(reach: int, error: float) -> None:
    z = np.linspace(-reach, reach, 1001)
    table = table_of([0.0], [1.0])
    assert table.at(np.zeros(1001, dtype=np.int64), z) == pytest.approx(normal(z, 0, 1), rel=error)


def test_log_densities_of_draws_are_right_to_a_millionth_on_average() -> None:
    generator = np.random.default_rng(1)
    mean, scale = generator.normal(size=3000), np.exp(generator.uniform(np.log(0.01), 0, 3000))
    group = generator.integers(0, 7, 3000)
    z = mean + scale * generator.standard_normal(3000)
    table = table_of(mean, scale, group)
    whole = np.log(table.at(np.zeros(3000, dtype=np.int64), z)) - np.log(mixture(z, mean, scale))
    assert abs(whole).mean() < 1e-7 and abs(whole).max() < 1e-5
    own = np.log(table.at(group + 1, z))
    for g in range(7):
        inside = group == g
        error = own[inside] - np.log(mixture(z[inside], mean[inside], scale[inside]))
        assert abs(error).mean() < 1e-6 and abs(error).max() < 1e-4


def test_trapezoid_sums_are_spectrally_accurate() -> None:
    scale = 0.7
    table = table_of([0.3], [scale])
    q = table.density[0]
    assert float(q.sum()) * table.step == pytest.approx(1, abs=1e-13)
    entropy = -float(torch.xlogy(q, q).sum()) * table.step
    assert entropy == pytest.approx(np.log(2 * np.pi * np.e * scale**2) / 2, abs=1e-13)
    # Even of every second point, a step of half the scale, nothing is missing.
    assert float(q[::2].sum()) * 2 * table.step == pytest.approx(1, abs=1e-13)
    # At a step of thrice the scale something is.
    assert abs(float(q[::12].sum()) * 12 * table.step - 1) > 1e-3


def test_groups_average_their_own_rows_and_some_rows_have_none() -> None:
    mean, scale = np.array([-1.0, 0.0, 1.0, 5.0]), np.array([0.5, 0.6, 0.7, 0.5])
    table = table_of(mean, scale, np.array([1, 0, 1, -1]))
    z = places(table)
    assert table.density.shape[0] == 3
    assert table.density[0].numpy() == pytest.approx(mixture(z, mean, scale), abs=1e-15)
    assert table.density[1].numpy() == pytest.approx(normal(z, 0.0, 0.6), abs=1e-15)
    assert table.density[2].numpy() == pytest.approx(mixture(z, mean[[0, 2]], scale[[0, 2]]), abs=1e-15)


def test_the_order_of_the_rows_does_not_matter() -> None:
    generator = np.random.default_rng(2)
    mean, scale = generator.normal(size=3000), np.exp(generator.uniform(-3, 0, 3000))
    group, order = generator.integers(0, 3, 3000), generator.permutation(3000)
    one, other = table_of(mean, scale, group), table_of(mean[order], scale[order], group[order])
    assert np.allclose(one.density.numpy(), other.density.numpy(), rtol=1e-11, atol=1e-15)


def test_a_deterministic_row_is_widened_to_what_the_grid_can_hold() -> None:
    mean, scale = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.1, 0.1, 0.1])
    table = table_of(mean, scale, largest=20_000)
    assert table.widened == 0.25
    assert table.density.numel() <= 20_000
    width = 3.9 + 0.9 - 0.0
    assert table.narrowest == pytest.approx(4 * width / 10_000, rel=0.5)
    expected = mixture(places(table), mean, np.maximum(scale, table.narrowest))
    assert table.density[0].numpy() == pytest.approx(expected, abs=1e-8 * expected.max())


def test_there_are_some_points_however_many_groups_there_are() -> None:
    rows = 300
    mean, scale = np.linspace(0, 1, rows), np.zeros(rows)
    table = table_of(mean, scale, np.arange(rows), largest=1000)
    assert FEWEST_POINTS <= table.density.shape[1] < 2 * FEWEST_POINTS
    assert table.widened == 1


def test_where_nothing_has_any_width_all_rows_have_the_same_density() -> None:
    table = table_of(np.full(4, 2.5), np.zeros(4), np.array([0, 0, 1, 1]))
    assert table.widened == 1
    assert torch.equal(table.density[1], table.density[2])
    assert float(table.density[0].sum()) * table.step == pytest.approx(1)


def test_a_few_wide_rows_cost_little_beside_narrow_ones() -> None:
    # At the narrow ones' step the wide rows would have 3.6e9 densities.
    mean, scale = np.zeros(20_000), np.full(20_000, 1.0)
    scale[0] = 1e-4
    table = table_of(mean, scale)
    z = np.linspace(-3, 3, 100)
    expected = (19_999 * normal(z, 0, 1.0) + normal(z, 0, 1e-4)) / 20_000
    assert table.at(np.zeros(100, dtype=np.int64), z) == pytest.approx(expected, rel=1e-7)
