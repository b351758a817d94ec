import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError

SMALL = Grid(("shape", "scale", "x"), (3, 2, 5), nuisance=("shape",))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_cells_are_counted_with_the_last_factor_fastest(sizes: list[int]) -> None:
    grid = Grid(tuple("abcde"[: len(sizes)]), tuple(sizes))
    cells = torch.tensor(list(itertools.product(*map(range, sizes))))
    assert len(grid) == len(cells)
    assert torch.equal(grid.to_factors(torch.arange(len(grid))), cells)
    assert torch.equal(grid.cells(), cells.short())
    assert torch.equal(grid.to_index(cells), torch.arange(len(grid)))


def test_any_shape_and_any_whole_numbers() -> None:
    index = torch.tensor([[0, 29], [7, 12]])
    factors = SMALL.to_factors(index)
    assert factors.shape == (2, 2, 3)
    assert factors[1, 0].tolist() == [0, 1, 2]
    assert torch.equal(SMALL.to_index(factors.short()), index)
    assert SMALL.to_index(factors).dtype == SMALL.to_factors(index.short()).dtype == torch.int64


@pytest.mark.parametrize("factors", [[3, 0, 0], [0, 0, -1], [0, 0]])
def test_values_outside_the_grid_have_no_index(factors: list[int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        SMALL.to_index(torch.tensor(factors))


@pytest.mark.parametrize("index", [-1, 30])
def test_numbers_outside_the_grid_have_no_values(index: int) -> None:
    with pytest.raises(ValueError, match="expected cells from 0 to 29"):
        SMALL.to_factors(torch.tensor([index]))


def test_draws_are_uniform() -> None:
    """30 cells, 30,000 draws: each count has the standard deviation 31; six of them are hardly ever exceeded."""
    drawn = SMALL.sample(30_000, seeded())
    assert drawn.dtype == torch.int64
    frequency = torch.bincount(SMALL.to_index(drawn), minlength=30)
    assert ((frequency - 1000).abs() < 190).all()


def test_fixed_factors_are_fixed_and_leave_the_others_alone() -> None:
    free = SMALL.sample(100, seeded(3))
    one = SMALL.sample(100, seeded(3), {"scale": 1})
    assert (one[:, 1] == 1).all()
    assert torch.equal(one[:, [0, 2]], free[:, [0, 2]])
    each = torch.arange(100) % 5
    two = SMALL.sample(100, seeded(3), {"x": each, "scale": 0})
    assert torch.equal(two[:, 2], each)
    assert (two[:, 1] == 0).all()
    assert torch.equal(two[:, 0], free[:, 0])


def test_what_the_grid_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no factor 'scal'; expected one of shape, scale, x; did you mean"):
        SMALL.sample(2, seeded(), {"scal": 0})
    with pytest.raises(ConfigError, match="scale=2: expected a value from 0 to 1"):
        SMALL.sample(2, seeded(), {"scale": 2})
    with pytest.raises(ConfigError, match="expected a value from 0 to 4"):
        SMALL.sample(2, seeded(), {"x": torch.tensor([0, -1])})


def test_a_grid_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of each"):
        Grid(("a", "b"), (2,))
    with pytest.raises(ValueError, match="expected one of each"):
        Grid(("a", "a"), (2, 3))
    with pytest.raises(ValueError, match="expected some of"):
        Grid(("a",), (2,), nuisance=("b",))
