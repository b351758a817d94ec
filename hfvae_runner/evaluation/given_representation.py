"""A representation from elsewhere, checked: from arrays to what metrics are given.

Legend: N examples; D continuous factors; K categories; F ground-truth factors.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.config.factor_classes import classes_of
from hfvae_runner.errors import DataError
from hfvae_runner.evaluation.representation_file import CATEGORIES
from hfvae_runner.metrics import Categories, Representation, Truth
from hfvae_runner.training.seeds import derived

Floats = NDArray[np.float64]

_ONE = 1e-3
"""How far a row of probabilities may be from 1: those of float16 are within it. They are scaled to 1."""
_LARGEST = 1e100
"""The squares of larger numbers are beyond floating-point numbers, or nearly so."""
_ANY = ("N", "D", "K", "F")
"""Sizes that an array itself says."""
_INDEXED = re.compile(r"(.+)\[\d+\]")


@dataclass(frozen=True)
class Given:
    """A representation and how it was taken from the arrays.

    Attributes:
        representation: its rows in a random order.
        bins: into how many bins each continuous factor was cut, by its name.
        order: which rows of the arrays these are, [N].
    """

    representation: Representation
    bins: Mapping[str, int]
    order: NDArray[np.int64]


def given(arrays: Mapping[str, Any], where: str, *, factor_bins: int, seed: int) -> Given:
    """The representation that arrays by key make; ``representation_file`` has the keys.

    Args:
        arrays: anything that numpy takes for an array.
        where: what holds them, for the messages.
        factor_bins: a continuous factor (``classes_of``) is cut into so many bins of equal width, from its least to its
            greatest value, for metrics of classes; those of numbers take it as it is.
        seed: of the order of the rows, of the samples where there are none and scales are known, and of the categories.

    Raises:
        DataError: an array is not of its shape, not finite, or has no meaning under its key.
    """
    taken = _Arrays({key: _array(key, value, where) for key, value in arrays.items() if value is not None}, where)
    mean = taken.table("mean")
    rows, columns = mean.shape
    discrete = taken.categories(rows)
    if rows < 2:
        raise DataError(f"{where}: mean has {rows} examples; expected two or more")
    if columns == 0 and not discrete:
        raise DataError(f"{where}: mean has no columns and there are no {CATEGORIES}; expected a latent variable")
    names = taken.names("names", columns, [f"z[{d}]" for d in range(columns)])
    if both := set(names) & set(discrete):
        raise DataError(f"{where}: {sorted(both)[0]} names a factor and a discrete variable; expected different names")
    scale = taken.scale(mean.shape)
    sample = _sample(taken, mean, scale, seed)
    order = np.random.default_rng(derived(seed, "order")).permutation(rows)
    labels = [_ordered(each, order) for each in taken.label(rows)]
    factors, bins = taken.factors(rows, factor_bins)
    representation = Representation(
        names=names,
        mean=mean[order],
        scale=None if scale is None else scale[order],
        sample=None if sample is None else sample[order],
        blocks=_blocks(names),
        discrete=tuple(_drawn(name, each[order], derived(seed, "category", name)) for name, each in discrete.items()),
        truth=tuple(_ordered(each, order) for each in factors) or tuple(labels),
        label=labels[0] if labels else None,
    )
    return Given(representation, bins, order)


@dataclass(frozen=True)
class _Arrays:
    """Arrays by key, each checked as it is taken; ``where`` they stand, for the messages."""

    arrays: Mapping[str, NDArray[Any]]
    where: str

    def numbers(self, key: str, shape: Sequence[int | str]) -> Floats:
        """An array of finite numbers; a letter in the shape stands for any size."""
        values = self.arrays[key]
        if values.dtype.kind not in "biuf":
            raise DataError(f"{self.where}: {key} is of {_kind(values)}; expected numbers")
        if values.ndim != len(shape) or any(n not in (m, *_ANY) for n, m in zip(shape, values.shape, strict=True)):
            expected = f"[{', '.join(map(str, shape))}]"
            raise DataError(f"{self.where}: {key} has shape {list(values.shape)}; expected {expected}")
        numbers = values.astype(np.float64)
        self._require(key, np.isfinite(numbers), numbers, "a finite number")
        self._require(key, np.abs(numbers) <= _LARGEST, numbers, f"at most {_LARGEST:g} in size")
        return numbers

    def table(self, key: str) -> Floats:
        if key not in self.arrays:
            raise DataError(f"{self.where} has no {key}; expected {key} [N, D]")
        return self.numbers(key, ("N", "D"))

    def scale(self, shape: tuple[int, ...]) -> Floats | None:
        """[N, D]; None where nothing is said of it."""
        if "scale" in self.arrays and "log_variance" in self.arrays:
            raise DataError(f"{self.where} has scale and log_variance; expected one of them")
        if "scale" in self.arrays:
            scale = self.numbers("scale", shape)
            self._require("scale", scale > 0, scale, "more than 0, or no scale at all for an encoder without one")
            return scale
        if "log_variance" in self.arrays:
            log_variance = self.numbers("log_variance", shape)
            with np.errstate(over="ignore", under="ignore"):
                scale = np.exp(log_variance / 2)
            usable = np.isfinite(scale) & (scale > 0)
            self._require("log_variance", usable, log_variance, "that of a variance above 0 and below infinity")
            return scale
        # Of no factor at all, all is known.
        return np.empty(shape) if shape[1] == 0 else None

    def categories(self, rows: int) -> dict[str, Floats]:
        """Probabilities [N, K] by the variable's name; ``class`` where it has none."""
        keys = [key for key in self.arrays if key == CATEGORIES or key.startswith(f"{CATEGORIES}/")]
        tables = {key.partition("/")[2] or "class": self._probabilities(key, rows) for key in keys}
        if len(tables) < len(keys):
            raise DataError(f"{self.where} has {' and '.join(keys)}; expected different names")
        return tables

    def _probabilities(self, key: str, rows: int) -> Floats:
        table = self.numbers(key, (rows, "K"))
        if table.shape[1] < 2:
            raise DataError(f"{self.where}: {key} has {table.shape[1]} categories; expected two or more")
        self._require(key, table >= 0, table, "a probability")
        total = table.sum(axis=1)
        self._require(f"the sum of {key}", np.abs(total - 1) <= _ONE, total, "1")
        return np.asarray(table / total[:, None])

    def label(self, rows: int) -> list[Truth]:
        """One, or none."""
        if "label" not in self.arrays:
            return []
        values = self.numbers("label", (rows,))
        self._require("label", (values == np.floor(values)) & (values >= 0), values, "a whole number from 0 on")
        return [_classes("label", values, nuisance=False)]

    def factors(self, rows: int, bins: int) -> tuple[list[Truth], dict[str, int]]:
        """The ground-truth factors, and those that were binned, with the number of bins."""
        if "factors" not in self.arrays:
            for key in ("factor_names", "factor_nuisance"):
                if key in self.arrays:
                    raise DataError(f"{self.where} has {key} and no factors; expected factors [N, F]")
            return [], {}
        table = self.numbers("factors", (rows, "F"))
        names = self.names("factor_names", table.shape[1], [f"factor[{k}]" for k in range(table.shape[1])])
        nuisance = self._nuisance(names)
        factors, binned_names = [], {}
        for name, values in zip(names, table.T, strict=True):
            classes = classes_of(values, bins)
            factors.append(Truth(name, classes.values, classes.size, name in nuisance, values))
            if classes.edges is not None:
                binned_names[name] = bins
        return factors, binned_names

    def names(self, key: str, count: int, otherwise: Sequence[str]) -> tuple[str, ...]:
        """Different texts, as many as there are columns."""
        if key not in self.arrays:
            return tuple(otherwise)
        values = self.arrays[key]
        if values.dtype.kind != "U" and values.size:
            raise DataError(f"{self.where}: {key} is of {_kind(values)}; expected text (dtype U)")
        if values.shape != (count,):
            raise DataError(f"{self.where}: {key} has shape {list(values.shape)}; expected {[count]}, a name a column")
        names = tuple(map(str, values))
        if len(set(names)) < count or "" in names:
            raise DataError(f"{self.where}: {key} is {', '.join(names)}; expected different names, none of them empty")
        return names

    def _nuisance(self, names: tuple[str, ...]) -> set[str]:
        if "factor_nuisance" not in self.arrays:
            return set()
        values = self.numbers("factor_nuisance", (len(names),))
        self._require("factor_nuisance", np.isin(values, (0, 1)), values, "true or false")
        return {name for name, value in zip(names, values, strict=True) if value}

    def _require(self, key: str, right: NDArray[np.bool_], values: Floats, expected: str) -> None:
        if not right.all():
            place = np.unravel_index(int(np.argmin(right)), right.shape)
            found, index = values[place], ", ".join(map(str, place))
            raise DataError(f"{self.where}: {key}[{index}] is {found:g}; expected {expected}")


def _array(key: str, value: Any, where: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"{where}: {key} has rows of unequal lengths; expected an array") from None


def _kind(values: NDArray[Any]) -> str:
    return "Python objects" if values.dtype.kind == "O" else f"dtype {values.dtype}"


def _sample(taken: _Arrays, mean: Floats, scale: Floats | None, seed: int) -> Floats | None:
    """As given; else drawn, where the scales are known."""
    if "sample" in taken.arrays:
        return taken.numbers("sample", mean.shape)
    if scale is None:
        return None
    noise = np.random.default_rng(derived(seed, "sample")).standard_normal(mean.shape)
    return np.asarray(mean + scale * noise)


def _drawn(name: str, probabilities: Floats, seed: int) -> Categories:
    """With one draw of the category an example."""
    noise = np.random.default_rng(seed).random((len(probabilities), 1))
    drawn = (probabilities.cumsum(axis=1) < noise).sum(axis=1)
    return Categories(name, probabilities, np.minimum(drawn, probabilities.shape[1] - 1))


def _classes(name: str, values: Floats, *, nuisance: bool) -> Truth:
    """A factor of whole numbers: each that occurs is a class."""
    present, rank = np.unique(values, return_inverse=True)
    return Truth(name, rank.astype(np.int64), len(present), nuisance, values)


def _ordered(truth: Truth, order: NDArray[np.int64]) -> Truth:
    return Truth(truth.name, truth.values[order], truth.size, truth.nuisance, truth.magnitudes[order])


def _blocks(names: tuple[str, ...]) -> dict[str, slice]:
    """Names such as style[0], style[1] side by side are a block style; if not all are of such, all are one block z."""
    if not names:
        return {}
    starts: dict[str, int] = {}
    previous = None
    for number, name in enumerate(names):
        match = _INDEXED.fullmatch(name)
        if match is None or (match[1] != previous and match[1] in starts):
            return {"z": slice(0, len(names))}
        starts.setdefault(match[1], number)
        previous = match[1]
    ends = [*list(starts.values())[1:], len(names)]
    return {block: slice(start, end) for (block, start), end in zip(starts.items(), ends, strict=True)}
