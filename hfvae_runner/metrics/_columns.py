"""The code as columns of real numbers, for metrics that need coordinates: regressions, distances, votes.

Legend: N examples; M columns; P latent variables.

A continuous factor is one column, its posterior means. A discrete variable is one column per category, the
category's probabilities.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.metrics._subject import Floats, Integers, Representation, Truth


class Columns(NamedTuple):
    """The code as real numbers.

    Attributes:
        values: [N, M].
        starts: the first column of every variable, [P]; the columns of a variable are adjacent.
    """

    values: Floats
    starts: Integers

    def sums(self, each: Floats) -> Floats:
        """Return the sums over every variable's columns: [*, M] -> [*, P]."""
        return np.asarray(np.add.reduceat(each, self.starts, axis=-1))

    def parts(self) -> list[slice]:
        """Return the slice of columns of every variable."""
        ends = [*self.starts[1:].tolist(), self.values.shape[1]]
        return [slice(start, end) for start, end in zip(self.starts.tolist(), ends, strict=True)]


def columns(encoded: Representation, kept: Iterable[bool] | None = None) -> Columns:
    """Return the code of all latent variables, or of those where ``kept`` [P] is true, in their order."""
    tables = [*encoded.mean.T[:, :, None], *(each.probabilities for each in encoded.discrete)]
    if kept is not None:
        tables = [table for table, keep in zip(tables, kept, strict=True) if keep]
    widths = [table.shape[1] for table in tables]
    return Columns(np.hstack(tables), np.cumsum([0, *widths[:-1]]))


def varying(encoded: Representation, least_std: float) -> NDArray[np.bool_]:
    """Return whether each latent variable varies with the examples, [P], instead of being collapsed to the prior.

    By the law of total variance, a variable's variance is the variance of its posterior means between examples plus the
    mean variance of its posteriors within them. A variable varies if the square root of the first part's share is at
    least ``least_std``, whatever the variable's unit. If q(z_d) has variance 1, as a standard normal prior, this is the
    standard deviation of the means. For a discrete variable, the variances are those of its one-hot code. A variable
    whose means are all equal never varies. If the scales are not known, all of a variable's variance counts as between
    examples.
    """
    between = [*encoded.mean.var(axis=0), *(each.probabilities.var(axis=0).sum() for each in encoded.discrete)]
    scale = np.zeros_like(encoded.mean) if encoded.scale is None else encoded.scale
    within = [*np.einsum("nd,nd->d", scale, scale) / len(encoded)]
    within += [1 - (each.probabilities**2).sum() / len(encoded) for each in encoded.discrete]
    reach = [*np.ptp(encoded.mean, axis=0), *(np.ptp(each.probabilities, axis=0).max() for each in encoded.discrete)]
    enough = np.array(between) >= least_std**2 * (np.array(between) + np.array(within))
    return np.asarray(enough & (np.array(reach) > 0))


def has_order(factor: Truth, encoded: Representation) -> bool:
    """Return whether the factor's values are magnitudes.

    The values of nuisance factors (shape, identity) and of the label are only names.
    """
    return not (factor.nuisance or (encoded.label is not None and factor.name == encoded.label.name))


def split_rows(examples: int, train_rows: int, test_rows: int) -> tuple[slice, slice]:
    """Return the first rows to fit on and the next rows to score on.

    If there are fewer examples than ``train_rows + test_rows``, both parts shrink in proportion.
    """
    rows = min(examples, train_rows + test_rows)
    fitted = rows * train_rows // (train_rows + test_rows)
    return slice(0, fitted), slice(fitted, rows)
