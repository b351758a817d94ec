"""What the readers of a user's own data share: labels, factors, the held-out tenth, and the checks of values.

Shapes: N examples; K factors; * the shape of one example.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor

from hfvae_runner.config.names import Values
from hfvae_runner.data._dataset import Dataset, Split, reduced
from hfvae_runner.data._examples import Rows
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError, DataError

MOST_VALUES = 50
"""A factor of more distinct values than these is binned."""
_FEWEST = 4


@dataclass(frozen=True)
class Own:
    """A user's own examples, with what is known of them.

    Attributes:
        where: the file or folder, for messages.
        x: [N, *], uint8 images [N, C, H, W], or float32 values.
        values: what they are.
        labels: [N], of whole numbers or texts; None where there are none.
        factors: [N, K], of any real numbers; None where there are none.
        factor_names: K names.
        nuisance: names of the factors that means over factors leave out.
        digest: SHA-256 of the file or files.
        notes: what a reader of the results must know.
    """

    where: str
    x: Tensor
    values: Values
    labels: NDArray[np.generic] | None = None
    factors: NDArray[np.floating] | None = None
    factor_names: tuple[str, ...] = ()
    nuisance: tuple[str, ...] = ()
    digest: str = ""
    notes: tuple[tuple[str, str], ...] = ()


def dataset_of(
    own: Own, test: Own | None, *, test_share: float, split_seed: int, factor_bins: int, subset: int | None
) -> Dataset:
    """Make a data set of a user's own examples.

    Args:
        own: all examples, or those to train on where ``test`` is given.
        test: examples that are tested on; None to hold some of the others out.
        test_share: of the examples, how many are held out, stratified by the label where there is one.
        split_seed: of this choice; it is not the run's seed.
        factor_bins: bins of equal width for a factor of more than 50 distinct values.
        subset: how many random training examples to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: there are too few examples, or labels or factors of the two do not fit.
    """
    parts = [own] if test is None else [own, test]
    for each in parts:
        if len(each.x) < (_FEWEST if test is None else 2):
            fewest = _FEWEST if test is None else 2
            raise DataError(f"{each.where} holds {len(each.x)} examples; expected {fewest} or more")
    if test is not None:
        _check_alike(own, test)
    labels, names = _labels(parts)
    factors, grid, bins = _factors(parts, factor_bins)
    notes = dict(own.notes) | bins
    if test is None:
        rows = _rows(len(own.x), labels[0], test_share, split_seed)
        notes["test"] = f"{len(rows[1]):,} of {len(own.x):,} examples, held out at random by dataset.split_seed"
        whole = Split(own.x, labels[0], factors[0])
        train, tested = (_chosen(whole, each) for each in rows)
    else:
        train, tested = (Split(each.x, labels[i], factors[i]) for i, each in enumerate(parts))
    digest = own.digest if test is None else f"{own.digest} {test.digest}"
    return reduced(Dataset(train, tested, own.values, names, grid, notes=notes, digest=digest), subset)


def refuse_bad_values(where: str, least: float, most: float, *, unit: bool) -> None:
    """Raise DataError for values that are not finite, all equal, or outside of 0 … 1 where images are floats."""
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError(f"{where} holds NaN or infinity; expected finite numbers")
    if unit and (least < 0 or most > 1):
        raise DataError(f"{where} holds values from {least:g} to {most:g}; expected uint8, or floats from 0 to 1")
    if least == most:
        raise DataError(f"every value of {where} is {least:g}; expected examples that differ")


def _check_alike(own: Own, test: Own) -> None:
    if own.x.shape[1:] != test.x.shape[1:] or own.values != test.values:
        raise DataError(
            f"{test.where} holds examples of shape {list(test.x.shape[1:])}; expected {list(own.x.shape[1:])}, as in "
            f"{own.where}"
        )
    if (own.labels is None) != (test.labels is None) or own.factor_names != test.factor_names:
        raise DataError(f"{test.where} and {own.where} do not have the same labels and factors; expected them to")


def _labels(parts: Sequence[Own]) -> tuple[list[Tensor | None], tuple[str, ...] | None]:
    """Class numbers of each part, and the classes' names in the order of their values."""
    if parts[0].labels is None:
        return [None] * len(parts), None
    given = [np.asarray(each.labels) for each in parts]
    for each, labels in zip(parts, given, strict=True):
        _check_labels(each, labels)
    values, numbers = np.unique(np.concatenate(given), return_inverse=True)
    if len(values) < 2:
        raise DataError(f"every label of {parts[0].where} is {values[0]!s}; expected two classes or more, or no labels")
    ends = np.cumsum([len(each) for each in given])[:-1]
    split = [torch.from_numpy(part.astype(np.int64)) for part in np.split(numbers, ends)]
    names = [str(int(value)) if isinstance(value, np.floating) else str(value) for value in values]
    return list(split), tuple(names)


def _check_labels(own: Own, labels: NDArray[np.generic]) -> None:
    if labels.shape != (len(own.x),):
        raise DataError(f"{own.where} holds labels of shape {list(labels.shape)}; expected [{len(own.x)}], one a row")
    if labels.dtype.kind == "f":
        missing = np.flatnonzero(np.isnan(labels.astype(float)))
        if len(missing):
            raise DataError(
                f"{own.where}: {len(missing)} of {len(labels)} rows have no label, the first is row {missing[0]}; "
                "expected one for each row, or none"
            )
        if (labels.astype(float) % 1 != 0).any():
            raise DataError(f"{own.where} holds labels that are not whole numbers; expected classes")
    elif labels.dtype.kind not in "iubU":
        raise DataError(f"{own.where} holds labels of type {labels.dtype}; expected whole numbers or text")


def _factors(parts: Sequence[Own], bins: int) -> tuple[list[Tensor | None], Grid | None, dict[str, str]]:
    """Each part's factors as numbers of values, int16, the grid of their names and sizes, and notes on bins."""
    if parts[0].factors is None:
        return [None] * len(parts), None, {}
    if not 2 <= bins <= 1000:
        raise ConfigError(f"dataset.factor_bins={bins}: expected a whole number from 2 to 1000")
    for each in parts:
        found = each.factors
        if found is None or found.ndim != 2 or found.shape != (len(each.x), len(each.factor_names)):
            shape = None if found is None else list(found.shape)
            raise DataError(
                f"{each.where} holds factors of shape {shape}; expected [{len(each.x)}, {len(each.factor_names)}]"
            )
        if not np.isfinite(found).all():
            row, column = np.argwhere(~np.isfinite(found))[0]
            raise DataError(
                f"{each.where}: factor {each.factor_names[column]!r} is missing in row {row}; expected numbers"
            )
    whole = np.concatenate([np.asarray(each.factors, float) for each in parts])
    names = parts[0].factor_names
    numbers, sizes, binned = np.empty(whole.shape, np.int16), [], []
    for k, column in enumerate(whole.T):
        values, inverse = np.unique(column, return_inverse=True)
        if len(values) > MOST_VALUES:
            edges = np.linspace(values[0], values[-1], bins + 1)
            inverse, values = np.digitize(column, edges[1:-1]), edges[:-1]
            binned.append(f"{names[k]} in {bins} bins of equal width from {edges[0]:g} to {edges[-1]:g}")
        numbers[:, k] = inverse
        sizes.append(len(values))
    ends = np.cumsum([len(each.x) for each in parts])[:-1]
    split: list[Tensor | None] = [torch.from_numpy(part.copy()) for part in np.split(numbers, ends)]
    return split, Grid(names, tuple(sizes), parts[0].nuisance), {"factor_bins": "; ".join(binned)} if binned else {}


def _rows(n: int, labels: Tensor | None, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and to test on, each ascending."""
    if not 0 < share < 1:
        raise ConfigError(f"dataset.test_share={share:g}: expected a number between 0 and 1")
    held = min(max(round(n * share), 2), n - 2)
    stratify = None if labels is None else labels.numpy()
    if stratify is not None:
        counts = np.bincount(stratify)
        # A class of one example cannot be in both, nor can more classes than examples be in one.
        if counts.min() < 2 or min(held, n - held) < len(counts):
            stratify = None
    train, test = train_test_split(np.arange(n), test_size=held, random_state=seed, stratify=stratify)
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(test))


def _chosen(split: Split, rows: Tensor) -> Split:
    """The rows of a split, whose examples are not copied."""
    assert isinstance(split.x, Tensor)
    known = (None if each is None else each[rows] for each in (split.labels, split.factors))
    return Split(Rows(split.x, rows), *known)
