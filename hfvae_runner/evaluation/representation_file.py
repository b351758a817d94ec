"""Reads a representation from a file: posterior means, and what else is known of the examples, as arrays by key.

Nothing in a file is executed: arrays of Python objects are refused. Keys, with N examples, D continuous factors, K
categories and F ground-truth factors:

``.npz``: ``mean`` [N, D]; ``scale`` or ``log_variance`` [N, D]; ``sample`` [N, D]; ``class_probabilities`` [N, K], or
``class_probabilities/NAME`` for several variables; ``label`` [N]; ``factors`` [N, F], ``factor_names`` [F],
``factor_nuisance`` [F]; ``names`` [D].

``.csv``: a line of column names, then a row of numbers an example: ``mean/NAME``, ``scale/NAME`` or
``log_variance/NAME``, ``sample/NAME``, ``class_probabilities/VARIABLE/CATEGORY``, ``label``, ``factor/NAME``, and
``nuisance/NAME`` for a factor of nuisance.
"""

import csv
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.errors import DataError, nearest

Array = NDArray[Any]

ARRAYS = ("mean", "scale", "log_variance", "sample", "label", "factors", "factor_names", "factor_nuisance", "names")
CATEGORIES = "class_probabilities"
_SPLIT = "split"
"""Of each row, in the files of ``encode``; metrics are of all rows."""
_TABLES = ("mean", "scale", "log_variance", "sample")
"""[N, D], a column for every continuous factor."""
_COLUMNS = ("mean/NAME", "scale/NAME", "log_variance/NAME", "sample/NAME", f"{CATEGORIES}/VARIABLE/CATEGORY", "label",
            "factor/NAME", "nuisance/NAME")  # fmt: skip
_ROWS_AT_ONCE = 10_000
"""Lines of text that wait to become an array."""
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, TypeError, KeyError, RuntimeError),
    *(OverflowError, MemoryError),
)
"""What zipfile and numpy raise for a damaged or foreign file."""


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        arrays: by key, as in an ``.npz``.
        ignored: its other keys or columns, which were not read, but for ``split``.
    """

    arrays: Mapping[str, Array]
    ignored: tuple[str, ...]


def read(path: Path) -> Contents:
    """The arrays of an ``.npz`` or ``.csv`` file.

    Raises:
        DataError: it is missing, damaged, of another kind, or without ``mean``.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file, .npz or .csv")
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a file, .npz or .csv")
    readers = {".npz": _npz, ".csv": _csv}
    if path.suffix not in readers:
        raise DataError(f"{path}: the name ends in {path.suffix or 'nothing'!r}; expected .npz or .csv")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; expected the arrays of a representation, at least mean")
    return readers[path.suffix](path)


def _npz(path: Path) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {each.filename.removesuffix(".npy"): each.file_size for each in archive.infolist()}
            known = [key for key in sizes if key in ARRAYS or key == CATEGORIES or key.startswith(f"{CATEGORIES}/")]
            if "mean" not in known:
                found = ", ".join(sizes) or "nothing"
                raise DataError(f"{path} has no mean, but {found}; expected mean [N, D]{nearest('mean', sizes)}")
            arrays = {}
            for key in known:
                with archive.open(f"{key}.npy") as stream:
                    arrays[key] = _array(stream, sizes[key], f"{path}: {key}")
    except DataError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged or no .npz file: {reason[:200]}") from error
    return Contents(arrays, tuple(key for key in sizes if key not in known and key != _SPLIT))


def _array(stream: IO[bytes], size: int, where: str) -> Array:
    """One array; its header is held to the number of bytes that the archive has of it, before memory is taken."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject:
        raise DataError(f"{where} holds Python objects, which are not read; expected numbers, or text (dtype U)")
    count = math.prod(shape)
    if count == 0:
        return np.empty(shape, dtype)
    if not 0 < count * dtype.itemsize <= size:
        raise DataError(f"{where} is cut off: {dtype} of shape {shape} in {size} bytes")
    values = np.frombuffer(stream.read(), dtype, count)
    return values.reshape(shape, order="F" if fortran_order else "C")


def _csv(path: Path) -> Contents:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            columns = next(reader, [])
            places = [_place(name) for name in columns]
            _check_columns(path, columns, places)
            table = _table(path, columns, [place is not None for place in places], reader)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path} is no .csv file: {' '.join(str(error).split())[:200]}") from error
    ignored = tuple(name for name, place in zip(columns, places, strict=True) if place is None and name != _SPLIT)
    return Contents(_by_key(path, columns, places, table), ignored)


def _check_columns(path: Path, columns: Sequence[str], places: Sequence[tuple[str, str] | None]) -> None:
    if repeated := next((name for name in columns if columns.count(name) > 1), None):
        raise DataError(f"{path} has two columns {repeated!r}; expected different names")
    if not any(place is not None and place[0] == "mean" for place in places):
        raise DataError(
            f"{path} has no column mean/NAME, but {', '.join(columns)}; expected mean/NAME and, where they are known, "
            f"{', '.join(_COLUMNS[1:])}"
        )


def _table(path: Path, columns: Sequence[str], wanted: Sequence[bool], reader: Any) -> NDArray[np.float64]:
    """The numbers below the column names, [rows, columns]; 0 in a column not wanted. Blank lines are skipped."""
    parts, rows = [], []
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(columns):
            raise DataError(f"{path}: line {reader.line_num} has {len(cells)} cells; expected {len(columns)}")
        try:
            rows.append([float(cell) if want else 0.0 for cell, want in zip(cells, wanted, strict=True)])
        except ValueError:
            raise _no_number(f"{path}: line {reader.line_num}", columns, wanted, cells) from None
        if not math.isfinite(sum(rows[-1])):
            raise _no_number(f"{path}: line {reader.line_num}", columns, wanted, cells)
        if len(rows) == _ROWS_AT_ONCE:
            parts.append(np.array(rows))
            rows = []
    return np.concatenate([*parts, np.array(rows).reshape(len(rows), len(columns))])


def _no_number(where: str, columns: Sequence[str], wanted: Sequence[bool], cells: Sequence[str]) -> DataError:
    """About the first cell of a line that is not a finite number."""
    for name, want, cell in zip(columns, wanted, cells, strict=True):
        if want and not _is_finite(cell):
            found = f"{cell[:40]!r}" if cell.strip() else "no value"
            return DataError(f"{where}, column {name}, has {found}; expected a finite number")
    return DataError(f"{where} has numbers whose sum is beyond the largest number; expected smaller ones")


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _place(column: str) -> tuple[str, str] | None:
    """Which array a column belongs to and what it is called there; None for one of no array."""
    if column == "label":
        return "label", ""
    kind, _, name = column.partition("/")
    if kind == CATEGORIES:
        variable, slash, category = name.rpartition("/")
        return (f"{CATEGORIES}/{variable}", category) if slash and variable and category else None
    return (kind, name) if kind in (*_TABLES, "factor", "nuisance") and name else None


def _by_key(
    path: Path, columns: Sequence[str], places: Sequence[tuple[str, str] | None], table: NDArray[np.float64]
) -> dict[str, Array]:
    names: dict[str, list[str]] = {}
    numbers: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        if place is not None:
            names.setdefault(place[0], []).append(place[1])
            numbers.setdefault(place[0], []).append(number)
    arrays: dict[str, Array] = {"names": np.array(names["mean"])}
    for key in _TABLES:
        if key not in names:
            continue
        if set(names[key]) != set(names["mean"]):
            lone = sorted(set(names[key]) ^ set(names["mean"]))[0]
            has, lacks = (key, "mean") if lone in names[key] else ("mean", key)
            raise DataError(f"{path} has a column {has}/{lone} and no {lacks}/{lone}; expected both, or {key} of none")
        order = [names[key].index(name) for name in names["mean"]]
        arrays[key] = table[:, [numbers[key][place] for place in order]]
    if "label" in names:
        arrays["label"] = table[:, numbers["label"][0]]
    arrays |= {key: table[:, numbers[key]] for key in names if key.startswith(f"{CATEGORIES}/")}
    factors = [place for place in places if place is not None and place[0] in ("factor", "nuisance")]
    if factors:
        arrays["factors"] = table[:, [columns.index(f"{kind}/{name}") for kind, name in factors]]
        arrays["factor_names"] = np.array([name for _, name in factors])
        arrays["factor_nuisance"] = np.array([kind == "nuisance" for kind, _ in factors])
    return arrays
