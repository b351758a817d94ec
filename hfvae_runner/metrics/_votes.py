"""Sample rows that share a factor's value, for the metrics that count votes.

Legend: N examples; S sets of L rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hfvae_runner.metrics._subject import UNKNOWN, Integers, Truth


@dataclass(frozen=True)
class SharedValues:
    """The rows whose value of a factor also occurs in another row, grouped by value.

    Attributes:
        rows: [n].
        starts: the index in ``rows`` at which each value begins.
        counts: the number of rows with each value, 2 or more.
    """

    rows: Integers
    starts: Integers
    counts: Integers

    def sets(self, sets: int, size: int, generator: np.random.Generator) -> Integers:
        """Sample sets of rows that share a value, [sets, size].

        A set's value is drawn by its frequency, then its rows with replacement.
        """
        value = self._value(generator.integers(len(self.rows), size=sets))
        return self._any_row(np.repeat(value[:, None], size, axis=1), generator)

    def pairs(self, sets: int, size: int, generator: np.random.Generator) -> tuple[Integers, Integers]:
        """Sample pairs of rows that share a value, [sets, size] each; a pair's value is drawn by its frequency."""
        place = generator.integers(len(self.rows), size=(sets, size))
        return self.rows[place], self._any_row(self._value(place), generator)

    def _value(self, place: Integers) -> Integers:
        return np.searchsorted(self.starts, place, side="right") - 1

    def _any_row(self, value: Integers, generator: np.random.Generator) -> Integers:
        return np.asarray(self.rows[self.starts[value] + generator.integers(self.counts[value])])


def shared_values(factor: Truth) -> SharedValues | None:
    """Return the rows that share their value with another row.

    Return None if fewer than two values occur, or if no value occurs twice. A value that occurs in a single row is
    omitted: no other property of that row can vary while it is fixed.
    """
    known = np.flatnonzero(factor.values != UNKNOWN)
    rows = known[np.argsort(factor.values[known], kind="stable")]
    _, counts = np.unique(factor.values[rows], return_counts=True)
    shared = counts > 1
    if len(counts) < 2 or not shared.any():
        return None
    rows, counts = rows[np.repeat(shared, counts)], counts[shared]
    return SharedValues(rows, np.cumsum(counts) - counts, counts)


def all_shared_values(truth: Iterable[Truth]) -> dict[str, SharedValues]:
    """Return the shared values by factor name, without the factors that have none."""
    found = {factor.name: shared_values(factor) for factor in truth}
    return {name: each for name, each in found.items() if each is not None}


def batches(counts: Sequence[int], at_once: int) -> list[tuple[int, int]]:
    """Split ``counts`` of each kind into parts of at most ``at_once``, and return (kind, size) of every part."""
    return [(kind, min(at_once, left)) for kind, count in enumerate(counts) for left in range(count, 0, -at_once)]
