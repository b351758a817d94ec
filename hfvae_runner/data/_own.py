"""What the readers of a user's own data share: options, labels, factors, the held-out tenth, and the checks of values.

Shapes: N examples; K factors; D values; * the shape of one example.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Le, Lt
from numpy.typing import NDArray
from pydantic import Field, Strict
from sklearn.model_selection import train_test_split
from torch import Tensor

from hfvae_runner.config.factor_classes import FACTOR_BINS, classes_of
from hfvae_runner.config.names import Values
from hfvae_runner.config.validation import WHOLE, Number
from hfvae_runner.data._dataset import Dataset, Split, reduced
from hfvae_runner.data._examples import Rows
from hfvae_runner.data.factors import Factors
from hfvae_runner.errors import DataError

TestShare = Annotated[Number, Field(gt=0), Lt(1)]
SplitSeed = Annotated[int, Strict(), Ge(0), Le(2**32 - 1), WHOLE]
Bins = Annotated[int, Strict(), Ge(2), Le(1000), WHOLE]
_FEWEST = 4
_MOST_SHORT = np.iinfo(np.int16).max


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
    """

    where: str
    x: Rows
    values: Values
    labels: NDArray[np.generic] | None = None
    factors: NDArray[np.floating] | None = None
    factor_names: tuple[str, ...] = ()
    nuisance: tuple[str, ...] = ()
    digest: str = ""


def dataset_of(
    own: Own,
    test: Own | None,
    *,
    test_share: float,
    split_seed: int,
    factor_bins: int = FACTOR_BINS,
    subset: int | None,
    standardise: bool = False,
) -> Dataset:
    """Make a data set of a user's own examples.

    Args:
        own: all examples, or those to train on where ``test`` is given.
        test: examples that are tested on; None to hold some of the others out.
        test_share: of the examples, how many are held out, stratified by the label where there is one.
        split_seed: of this choice; it is not the run's seed.
        factor_bins: bins of equal width for a continuous factor (``classes_of``).
        subset: how many random training examples to keep; None keeps all.
        standardise: bring each of the values [N, D] to mean 0 and deviation 1 over the training examples.

    Raises:
        ConfigError: an option is out of range.
        DataError: there are too few examples, or labels or factors of the two do not fit.
    """
    parts = [own] if test is None else [own, test]
    fewest = _FEWEST if test is None else 2
    for each in parts:
        if len(each.x) < fewest:
            raise DataError(f"{each.where} holds {len(each.x)} examples; expected {fewest} or more")
    if test is not None:
        _check_alike(own, test)
    labels, names = _labels(parts)
    known, factors, notes = _factors(parts, factor_bins)
    train, *rest = [
        Split(each.x, of_labels, classes, magnitudes=magnitudes)
        for each, of_labels, (classes, magnitudes) in zip(parts, labels, known, strict=True)
    ]
    if test is None:
        rows = _rows(len(own.x), labels[0], test_share, split_seed)
        notes["test"] = f"{len(rows[1]):,} of {len(own.x):,} examples, held out at random by dataset.split_seed"
        train, tested = (train.take(each) for each in rows)
    else:
        (tested,) = rest
    if standardise:
        train, tested = _standardised(train, tested)
        notes["standardised"] = "each value to mean 0 and standard deviation 1 over the training examples"
    digest = own.digest if test is None else f"{own.digest} {test.digest}"
    return reduced(Dataset(train, tested, own.values, names, factors, notes=notes, digest=digest), subset)


def refuse_bad_values(where: str, least: float, most: float, *, unit: bool) -> None:
    """Raise DataError for values that are not finite, all equal, or outside of 0 … 1 where images are floats."""
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError(f"{where} holds NaN or infinity; expected finite numbers")
    if unit and (least < 0 or most > 1):
        raise DataError(f"{where} holds values from {least:g} to {most:g}; expected uint8, or floats from 0 to 1")
    if least == most:
        raise DataError(f"every value of {where} is {least:g}; expected examples that differ")


def _check_alike(own: Own, test: Own) -> None:
    if own.digest == test.digest:
        raise DataError(f"{test.where} holds the same bytes as {own.where}; expected other examples to test on")
    if own.x.shape[1:] != test.x.shape[1:] or own.x.dtype != test.x.dtype or own.values != test.values:
        raise DataError(
            f"{test.where} holds examples of shape {_kind(test.x)}; expected {_kind(own.x)}, as in {own.where}"
        )
    if (own.labels is None) != (test.labels is None) or own.factor_names != test.factor_names:
        raise DataError(f"{test.where} and {own.where} do not have the same labels and factors; expected them to")


def _kind(x: Rows) -> str:
    return f"{list(x.shape[1:])} of type {str(x.dtype).removeprefix('torch.')}"


def _labels(parts: Sequence[Own]) -> tuple[list[Tensor | None], tuple[str, ...] | None]:
    """Class numbers of each part, and the classes' names in the order of their values."""
    if parts[0].labels is None:
        return [None] * len(parts), None
    given = [np.asarray(each.labels) for each in parts]
    for each, labels in zip(parts, given, strict=True):
        _check_labels(each, labels)
    if len({labels.dtype.kind == "U" for labels in given}) > 1:
        raise DataError(f"labels are text in one of {' and '.join(each.where for each in parts)}; expected one kind")
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
        missing = np.flatnonzero(~np.isfinite(labels.astype(float)))
        if len(missing):
            raise DataError(
                f"{own.where}: {len(missing)} of {len(labels)} rows have no label, the first is row {missing[0]}; "
                "expected one for each row, or none"
            )
        if (labels.astype(float) % 1 != 0).any():
            raise DataError(f"{own.where} holds labels that are not whole numbers; expected classes")
    elif labels.dtype.kind == "U":
        missing = np.flatnonzero(labels == "")
        if len(missing):
            raise DataError(f"{own.where}: the label of row {missing[0]} is empty; expected one for each row, or none")
    elif labels.dtype.kind not in "iub":
        raise DataError(f"{own.where} holds labels of type {labels.dtype}; expected whole numbers or text")


def _factors(
    parts: Sequence[Own], bins: int
) -> tuple[list[tuple[Tensor | None, Tensor | None]], Factors | None, dict[str, str]]:
    """``Split.factors`` and ``Split.magnitudes`` of each part; what the factors are; and notes on those in bins."""
    if parts[0].factors is None:
        return [(None, None)] * len(parts), None, {}
    names = parts[0].factor_names
    numbers = np.concatenate([_checked_factors(each) for each in parts])
    found = [classes_of(column, bins) for column in numbers.T]
    factors = Factors(names, tuple(each.size for each in found), parts[0].nuisance)
    kind = np.int16 if max(factors.sizes) <= _MOST_SHORT else np.int32
    classes = np.stack([each.values for each in found], axis=1).astype(kind)
    binned = [
        f"{name} in {bins} bins of equal width from {each.edges[0]:g} to {each.edges[-1]:g}"
        for name, each in zip(names, found, strict=True)
        if each.edges is not None
    ]
    ends = np.cumsum([len(each.x) for each in parts])[:-1]
    # Many data sets number the values of their factors from 0 on: nothing more is to be kept of these.
    alike = np.array_equal(classes, numbers)
    split = [
        (torch.from_numpy(part.copy()), None if alike else torch.from_numpy(own.copy()))
        for part, own in zip(np.split(classes, ends), np.split(numbers, ends), strict=True)
    ]
    return list(split), factors, {"factor_bins": "; ".join(binned)} if binned else {}


def _checked_factors(own: Own) -> NDArray[np.float64]:
    """Return the factors, [N, K]; raise DataError where they are not as many, as named and as finite as expected."""
    found, names = np.asarray(own.factors), own.factor_names
    if found.shape != (len(own.x), len(names)) or not names:
        raise DataError(
            f"{own.where} holds factors of shape {list(found.shape)}; expected [{len(own.x)}, {len(names)}]"
        )
    if len(set(names)) < len(names) or "" in names:
        raise DataError(f"{own.where}: factors named {', '.join(names)}; expected different names, none of them empty")
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise DataError(f"{own.where}: factor {names[column]!r} is missing in row {row}; expected numbers")
    return found.astype(np.float64)


def _rows(n: int, labels: Tensor | None, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and to test on, each ascending."""
    held = min(max(round(n * share), 2), n - 2)
    stratify = None if labels is None else labels.numpy()
    if stratify is not None:
        counts = np.bincount(stratify)
        # A class of one example cannot be in both, nor can more classes than examples be in one.
        if counts.min() < 2 or min(held, n - held) < len(counts):
            stratify = None
    train, test = train_test_split(np.arange(n), test_size=held, random_state=seed, stratify=stratify)
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(test))


def _standardised(train: Split, test: Split) -> Iterator[Split]:
    """Yield both splits, of values [N, D] that are small enough to be copied; one that is constant in training becomes
    0.
    """
    values = [split.x[torch.arange(len(split))].double() for split in (train, test)]
    deviation, mean = torch.std_mean(values[0], dim=0, correction=0)
    # Rounding leaves a constant with a deviation that is not quite 0.
    scale = torch.where(values[0].amax(0) > values[0].amin(0), deviation, 1.0)
    yield from (replace(split, x=((x - mean) / scale).float()) for split, x in zip((train, test), values, strict=True))
