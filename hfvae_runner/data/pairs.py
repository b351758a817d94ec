"""``dataset.pairs``: trains on pairs of examples that have something in common (Locatello et al. 2020).

    {factors: 1}                       pairs that differ in exactly one ground-truth factor
    {factors: random}                  in 1 … F − 1 of F factors, a new number for each pair
    {column: label}                    pairs that share a value of a factor, or of the label
    {neighbours: true}                 consecutive examples of the training split
    {neighbours: true, column: scene}  consecutive examples among those that share a value

The first example of a pair comes from the order of the epoch, the second one is drawn here. A factor of one value
cannot differ and does not count for F. ``factors`` needs one example for each combination of the factors' values.

A pair depends on the seed and the epoch alone. With weights in ``dataset.sampling`` there are no pairs.

Shapes: N training examples; n pairs; F factors of two values or more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, Split
from hfvae_runner.data.factors import Grid
from hfvae_runner.data.sampling import LABEL, values_of
from hfvae_runner.errors import ConfigError, nearest

RANDOM = "random"
_KEYS = ("factors", "column", "neighbours")
_WHERE = "dataset.pairs"


class Partners(Protocol):
    """Protocol of an object that completes pairs."""

    def draw(self, first: Tensor, generator: torch.Generator) -> Tensor:
        """Return a partner for each of these training examples, int64 [n] -> int64 [n]; both on the CPU."""


@dataclass(frozen=True)
class GridPartners:
    """Partners that differ in k of the F factors of a grid, drawn uniformly from all such examples.

    Where the first examples are drawn uniformly, so are the partners: as many pairs lead to a cell as from it.

    Attributes:
        grid: the factors that have two values or more; every cell has exactly one example.
        cells: the cell of each example, int64 [N].
        rows: the example of each cell, int64 [N].
        changed: k, from 1 to F − 1; None draws it uniformly for each pair.
    """

    grid: Grid
    cells: Tensor
    rows: Tensor
    changed: int | None

    @classmethod
    def of(cls, split: Split, names: tuple[str, ...], changed: int | None) -> "GridPartners | None":
        """Return the partners among a split's examples, or None if these are not one for each combination of values."""
        if split.factors is None:
            return None
        found = [torch.unique(column, return_inverse=True) for column in split.factors.unbind(1)]
        varying = [k for k, (values, _) in enumerate(found) if len(values) > 1]
        grid = Grid(tuple(names[k] for k in varying), tuple(len(found[k][0]) for k in varying))
        if not varying or len(grid) != len(split):
            return None
        cells = grid.to_index(torch.stack([found[k][1] for k in varying], dim=1))
        rows = torch.argsort(cells)
        complete = torch.equal(cells[rows], torch.arange(len(grid)))
        return cls(grid, cells, rows, changed) if complete else None

    def draw(self, first: Tensor, generator: torch.Generator) -> Tensor:
        n, factors = len(first), len(self.grid.sizes)
        if self.changed is None:
            changed = torch.randint(1, factors, (n, 1), generator=generator)
        else:
            changed = torch.full((n, 1), self.changed)
        order = torch.rand((n, factors), generator=generator).argsort(1)
        chosen = torch.zeros((n, factors), dtype=torch.bool).scatter_(1, order, torch.arange(factors) < changed)
        # From 1 to size − 1 values further, so that the new value differs from the old one.
        shifts = torch.stack([torch.randint(1, size, (n,), generator=generator) for size in self.grid.sizes], dim=1)
        values = (self.grid.to_factors(self.cells[first]) + shifts * chosen) % torch.tensor(self.grid.sizes)
        return self.rows[self.grid.to_index(values)]


@dataclass(frozen=True)
class GroupPartners:
    """Partners of the same group: any other example of it, or the one before or after.

    Attributes:
        order: the examples, one group after the other, each in the split's order, int64 [N].
        places: where each example stands in ``order``, int64 [N].
        starts: where its group starts there, int64 [N].
        sizes: how many examples its group has, two or more, int64 [N].
        neighbours: whether the partner is the one before or after (with equal probability, but at a group's ends).
    """

    order: Tensor
    places: Tensor
    starts: Tensor
    sizes: Tensor
    neighbours: bool

    @classmethod
    def of(cls, groups: Tensor, *, neighbours: bool) -> "GroupPartners":
        """Return the partners among examples with these group numbers, int64 [N] from 0 on."""
        counts = torch.bincount(groups)
        order = torch.argsort(groups, stable=True)
        starts = counts.cumsum(0) - counts
        return cls(order, torch.argsort(order), starts[groups], counts[groups], neighbours)

    def draw(self, first: Tensor, generator: torch.Generator) -> Tensor:
        place, start, size = (each[first] for each in (self.places, self.starts, self.sizes))
        uniform = torch.rand(len(first), generator=generator, dtype=torch.float64)
        if self.neighbours:
            after = (uniform < 0.5) & (place + 1 < start + size) | (place == start)
            return self.order[torch.where(after, place + 1, place - 1)]
        shift = 1 + (uniform * (size - 1)).long()
        return self.order[start + (place - start + shift) % size]


def paired(dataset: Dataset, section: Mapping[str, object]) -> Dataset:
    """Return the data set with the partners that ``section["pairs"]`` asks for.

    Args:
        dataset: the data set, with the other options of the section applied.
        section: the config's section ``dataset``.

    Raises:
        ConfigError: ``dataset.pairs`` is not a choice of pairs, or not one of this data set.
    """
    pairs = section.get("pairs")
    if pairs is None:
        return dataset
    known = _checked(pairs)
    if dataset.train.weights is not None:
        raise ConfigError(f"{_WHERE} and weights in dataset.sampling: a pair is drawn uniformly; expected one of them")
    by_factors = "factors" in known
    partners, what = _by_factors(dataset, known["factors"]) if by_factors else _by_group(dataset, known, section)
    note = f"trained on pairs of {what}; batch_size and examples_seen count both examples of a pair"
    return replace(dataset, partners=partners, notes={**dataset.notes, "pairs": note})


def suggested(dataset: Dataset) -> str:
    """Return the choices of pairs that this data set allows, for messages."""
    names = () if dataset.factors is None else dataset.factors.names
    of_factors = GridPartners.of(dataset.train, names, None)
    ways = ["{factors: random}"] if of_factors is not None and len(of_factors.grid.sizes) > 1 else []
    if dataset.train.labels is not None or names:
        ways.append(f"{{column: {LABEL if dataset.train.labels is not None else names[0]}}}")
    return f"{_WHERE}={' or '.join([*ways, '{neighbours: true}'])}"


def _checked(pairs: object) -> Mapping[str, object]:
    """Return the section if its keys are valid and fit together."""
    if not isinstance(pairs, Mapping) or not pairs:
        expected = "null, {factors: 1}, {factors: random}, {column: label} or {neighbours: true}"
        raise ConfigError(f"{_WHERE}={pairs!r}: expected {expected}")
    for key in pairs:
        if key not in _KEYS:
            raise ConfigError(f"{_WHERE}.{key}: unknown key; expected one of {', '.join(_KEYS)}{nearest(key, _KEYS)}")
    if "factors" in pairs and len(pairs) > 1:
        raise ConfigError(f"{_WHERE} has {' and '.join(pairs)}; expected factors alone, or the others")
    if pairs.get("neighbours", True) is not True:
        raise ConfigError(f"{_WHERE}.neighbours={pairs['neighbours']!r}: expected true, or no such key")
    return pairs


def _by_factors(dataset: Dataset, changed: object) -> tuple[Partners, str]:
    where, split = f"{_WHERE}.factors={changed}", dataset.train
    if dataset.factors is None or split.factors is None:
        raise ConfigError(f"{where}: the data set has no ground-truth factors; expected {suggested(dataset)}")
    cells = [len(torch.unique(column)) for column in split.factors.unbind(1)]
    varying = sum(size > 1 for size in cells)
    if varying < 2:
        raise ConfigError(f"{where}: {varying} of the data set's factors vary; expected two or more")
    whole = isinstance(changed, int) and not isinstance(changed, bool) and 1 <= changed < varying
    if not whole and changed != RANDOM:
        raise ConfigError(
            f"{_WHERE}.factors={changed!r}: expected a whole number from 1 to {varying - 1}, or {RANDOM}"
            f"{nearest(changed, (RANDOM,))}"
        )
    partners = GridPartners.of(split, dataset.factors.names, changed if isinstance(changed, int) else None)
    if partners is None:
        combinations = torch.tensor(cells).prod().item()
        raise ConfigError(
            f"{where}: {len(split):,} training examples for {combinations:,} combinations of factor values, so that "
            "some have no partner; expected one for each (no dataset.subset, no dataset.holdout, no part held out)"
        )
    number = f"a random number, 1 to {varying - 1}," if changed == RANDOM else f"exactly {changed}"
    return partners, f"examples that differ in {number} of {varying} factors"


def _by_group(dataset: Dataset, pairs: Mapping[str, object], section: Mapping[str, object]) -> tuple[Partners, str]:
    split, column, neighbours = dataset.train, pairs.get("column"), "neighbours" in pairs
    groups = torch.zeros(len(split), dtype=torch.int64)
    if "column" in pairs:
        groups, _ = values_of(dataset, split, column, f"{_WHERE}.column")
        _, groups = torch.unique(groups, return_inverse=True)
        alone = int((torch.bincount(groups) == 1).sum())
        if alone:
            raise ConfigError(
                f"{_WHERE}.column={column}: {alone} of the training examples' values occur once, without a partner; "
                "expected each value at least twice"
            )
    for key in ("subset", "holdout"):
        if neighbours and section.get(key) is not None:
            raise ConfigError(
                f"{_WHERE}.neighbours with dataset.{key}: what it leaves are no neighbours; expected one of them"
            )
    if len(split) < 2:
        raise ConfigError(f"{_WHERE}: {len(split)} training examples; expected two or more")
    shared = "" if column is None else f" that share a value of {column}"
    what = "consecutive training examples" if neighbours else "training examples"
    return GroupPartners.of(groups, neighbours=neighbours), what + shared
