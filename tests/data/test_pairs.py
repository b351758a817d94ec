"""Pairs, by enumeration on grids so small that every partner is counted."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data.factors import Factors, Grid
from hfvae_runner.data.holdout import pruned
from hfvae_runner.data.pairs import GridPartners, GroupPartners, paired, suggested
from hfvae_runner.data.sampling import restricted, weighted
from hfvae_runner.errors import ConfigError

SIZES = (3, 1, 2, 4)
GRID = Grid(("shape", "colour", "scale", "x"), SIZES)
VARYING = 3
N = len(GRID)
DRAWS = 3000


def world(rows: Tensor | None = None) -> Dataset:
    """A data set of every cell of the grid, in this order."""
    rows = torch.arange(N) if rows is None else rows
    factors = GRID.cells()[rows]
    split = Split(rows[:, None].float(), labels=factors[:, 0].long(), factors=factors)
    return Dataset(split, split, "real", ("square", "ellipse", "heart"), GRID)


def in_groups(labels: list[int]) -> Dataset:
    """Examples with labels, without factors."""
    split = Split(torch.arange(len(labels))[:, None].float(), labels=torch.tensor(labels))
    return Dataset(split, split, "real", tuple("abcdefgh"[: max(labels) + 1]))


def drawn(dataset: Dataset, first: Tensor, seed: int = 0) -> Tensor:
    assert dataset.partners is not None
    return dataset.partners.draw(first, torch.Generator().manual_seed(seed))


def counts(dataset: Dataset, draws: int = DRAWS) -> Tensor:
    """How often each example is drawn as the partner of each, [N, N]; every row has ``draws``."""
    n = len(dataset.train)
    first = torch.arange(n).repeat(draws)
    return torch.bincount(first * n + drawn(dataset, first), minlength=n * n).view(n, n)


def assert_uniform(table: Tensor, allowed: Tensor) -> None:
    """Each row's draws are spread evenly over the allowed partners, within five standard errors."""
    assert bool((table[~allowed] == 0).all())
    expected = table.sum(1, keepdim=True) / allowed.sum(1, keepdim=True)
    assert bool(((table - expected).abs()[allowed] < 5 * expected.sqrt().expand_as(table)[allowed]).all())


def changed_factors(split: Split, first: Tensor, second: Tensor) -> Tensor:
    assert split.factors is not None
    return (split.factors[first] != split.factors[second]).sum(1)


@pytest.mark.parametrize("k", [1, 2])
def test_all_partners_that_differ_in_k_factors_are_equally_likely(k: int) -> None:
    dataset = paired(world(), {"pairs": {"factors": k}})
    cells = GRID.cells()
    allowed = (cells[:, None] != cells[None]).sum(2) == k
    table = counts(dataset)
    # The factors that change are chosen first, then their values: of more values, each is less likely.
    for subset in product((False, True), repeat=4):
        of_subset = ((cells[:, None] != cells[None]) == torch.tensor(subset)).all(2)
        if sum(subset) == k and not subset[1]:
            share = table.where(of_subset, 0).sum().item() / table.sum().item()
            assert share == pytest.approx(1 / VARYING, abs=0.01)
            assert_uniform(table.where(of_subset, 0), of_subset)
    assert bool((table[~allowed] == 0).all())


@pytest.mark.parametrize("k", [1, 2, "random"])
def test_all_cells_are_equally_likely_on_both_sides(k: object) -> None:
    """Uniform first examples have uniform partners."""
    seconds = counts(paired(world(), {"pairs": {"factors": k}})).sum(0)
    assert bool(((seconds - DRAWS).abs() < 5 * DRAWS**0.5).all())


def test_a_random_number_of_factors_is_uniform_below_all_of_them() -> None:
    dataset = paired(world(), {"pairs": {"factors": "random"}})
    first = torch.arange(N).repeat(500)
    shares = torch.bincount(changed_factors(dataset.train, first, drawn(dataset, first)), minlength=5) / len(first)
    torch.testing.assert_close(shares, torch.tensor([0, 0.5, 0.5, 0, 0]), atol=0.02, rtol=0)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 2**31), st.data())
def test_on_any_grid_in_any_order(sizes: list[int], seed: int, data: st.DataObject) -> None:
    grid = Grid(tuple("abcd"[: len(sizes)]), tuple(sizes))
    varying = sum(size > 1 for size in sizes)
    order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(seed))
    split = Split(order[:, None].float(), factors=grid.cells()[order])
    dataset = Dataset(split, split, "real", factors=Factors(grid.names, grid.sizes))
    if varying < 2:
        with pytest.raises(ConfigError, match=f"{varying} of the data set's factors vary"):
            paired(dataset, {"pairs": {"factors": 1}})
        return
    k = data.draw(st.integers(1, varying - 1))
    first = torch.arange(len(grid)).repeat(5)
    second = drawn(paired(dataset, {"pairs": {"factors": k}}), first, seed)
    assert changed_factors(split, first, second).tolist() == [k] * len(first)


def test_pairs_depend_on_the_generator_alone() -> None:
    dataset = paired(world(), {"pairs": {"factors": "random"}})
    first = torch.arange(N).repeat(20)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(drawn(dataset, first, 1), drawn(dataset, first, 1))
    assert not torch.equal(drawn(dataset, first, 1), drawn(dataset, first, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fixed_factor_leaves_a_smaller_grid() -> None:
    fixed = restricted(world(), {"fixed": {"x": 2}})
    dataset = paired(fixed, {"pairs": {"factors": 1}})
    assert isinstance(dataset.partners, GridPartners)
    assert dataset.partners.grid == Grid(("shape", "scale"), (3, 2))
    assert "exactly 1 of 2 factors" in dataset.notes["pairs"]
    first = torch.arange(6).repeat(50)
    assert set(changed_factors(dataset.train, first, drawn(dataset, first)).tolist()) == {1}


def test_examples_of_one_value_are_paired_with_any_other() -> None:
    labels = [0, 1, 0, 2, 1, 0, 2, 0]
    dataset = paired(in_groups(labels), {"pairs": {"column": "label"}})
    groups = torch.tensor(labels)
    assert_uniform(counts(dataset), (groups[:, None] == groups) & ~torch.eye(8, dtype=torch.bool))


def test_a_factor_is_a_column_too() -> None:
    dataset = paired(world(torch.randperm(N, generator=torch.Generator().manual_seed(0))), {"pairs": {"column": "x"}})
    assert dataset.train.factors is not None
    x = dataset.train.factors[:, 3]
    assert_uniform(counts(dataset), (x[:, None] == x) & ~torch.eye(N, dtype=torch.bool))


def test_neighbours_are_the_example_before_or_after() -> None:
    place = torch.arange(8)
    dataset = paired(in_groups([0, 1] * 4), {"pairs": {"neighbours": True}})
    assert_uniform(counts(dataset), (place[:, None] - place).abs() == 1)


def test_neighbours_among_those_of_one_value() -> None:
    """Scenes are never mixed, wherever their examples stand."""
    dataset = paired(in_groups([0, 1, 0, 2, 2, 0, 1]), {"pairs": {"neighbours": True, "column": "label"}})
    allowed = torch.zeros(7, 7, dtype=torch.bool)
    for one, other in [(0, 2), (2, 5), (1, 6), (3, 4)]:
        allowed[one, other] = allowed[other, one] = True
    assert_uniform(counts(dataset), allowed)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.booleans(), st.integers(0, 2**31))
def test_a_partner_is_another_example_of_the_group(some: list[int], neighbours: bool, seed: int) -> None:
    groups = torch.unique(torch.tensor(some * 2), return_inverse=True)[1]
    first = torch.arange(len(groups)).repeat(5)
    partners = GroupPartners.of(groups, neighbours=neighbours)
    second = partners.draw(first, torch.Generator().manual_seed(seed))
    assert torch.equal(groups[first], groups[second])
    assert not bool((first == second).any())


def test_no_pairs_leave_the_data_set_alone() -> None:
    dataset = world()
    assert paired(dataset, {"pairs": None}) is dataset
    assert paired(dataset, {}) is dataset


REFUSED: dict[str, tuple[object, str]] = {
    "no section": (1, r"dataset.pairs=1: expected null, \{factors: 1\}"),
    "an empty one": ({}, r"dataset.pairs=\{\}: expected null"),
    "a misspelt key": ({"factor": 1}, "dataset.pairs.factor: unknown key; .* did you mean 'factors'"),
    "two kinds": ({"factors": 1, "column": "x"}, "has factors and column; expected factors alone"),
    "none": ({"factors": 0}, "factors=0: expected a whole number from 1 to 2, or random"),
    "all": ({"factors": 3}, "factors=3: expected a whole number from 1 to 2, or random"),
    "true": ({"factors": True}, "factors=True: expected a whole number from 1 to 2"),
    "a word": ({"factors": "rndom"}, "factors='rndom': expected .* did you mean 'random'"),
    "no such column": ({"column": "shap"}, "dataset.pairs.column: .* no factor 'shap'.* did you mean 'shape'"),
    "not neighbours": ({"neighbours": False}, "neighbours=False: expected true"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    pairs, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        paired(world(), {"pairs": pairs})


def test_a_part_of_a_grid_has_no_partner_for_every_cell() -> None:
    subset = replace(world(), train=world().train.take(torch.arange(20)))
    held = pruned(world(), {"factor": "x", "equals": 2}, lambda run, factor: torch.empty(0))
    with pytest.raises(ConfigError, match=r"20 training examples for 24 combinations .*no dataset.subset"):
        paired(subset, {"pairs": {"factors": 1}})
    # A whole slice is a smaller grid; what is left of it in one corner is not.
    assert paired(held, {"pairs": {"factors": 1}}).partners is not None
    corner = {"all": [{"factor": "x", "equals": 2}, {"factor": "scale", "equals": 0}]}
    with pytest.raises(ConfigError, match="21 training examples for 24 combinations"):
        paired(pruned(world(), corner, lambda run, factor: torch.empty(0)), {"pairs": {"factors": "random"}})
    twice = replace(world(), train=world().train.take(torch.arange(N).clamp_max(N - 2)))
    with pytest.raises(ConfigError, match="24 training examples for 24 combinations"):
        paired(twice, {"pairs": {"factors": 1}})


def test_pairs_are_not_drawn_by_weights() -> None:
    unequal = weighted(world(), {"weights": [1, 2, 4], "factors": ["shape"]})
    with pytest.raises(ConfigError, match=r"dataset\.pairs and weights in"):
        paired(unequal, {"pairs": {"column": "shape"}})


def test_what_is_left_of_a_part_are_no_neighbours() -> None:
    for key, value in {"subset": 10, "holdout": {"label": 1}}.items():
        with pytest.raises(ConfigError, match=f"neighbours with dataset.{key}"):
            paired(world(), {"pairs": {"neighbours": True}, key: value})


def test_a_value_that_occurs_once_has_no_partner() -> None:
    with pytest.raises(ConfigError, match=r"column=label: 2 of the .* values occur once"):
        paired(in_groups([0, 0, 1, 2, 0]), {"pairs": {"column": "label"}})


def test_a_message_names_what_would_work() -> None:
    nothing = Split(torch.zeros(5, 1))
    assert suggested(world()) == "dataset.pairs={factors: random} or {column: label} or {neighbours: true}"
    assert suggested(in_groups([0, 1, 0, 1])) == "dataset.pairs={column: label} or {neighbours: true}"
    assert suggested(Dataset(nothing, nothing, "real")) == "dataset.pairs={neighbours: true}"
    with pytest.raises(ConfigError, match=r"no ground-truth factors; expected dataset.pairs=\{column: label\}"):
        paired(in_groups([0, 1, 0, 1]), {"pairs": {"factors": 1}})
