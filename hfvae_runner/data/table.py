"""A user's own vectors from a table, ``.csv`` or ``.parquet``."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Strict

from hfvae_runner.config.factor_classes import FACTOR_BINS
from hfvae_runner.config.validation import Count, Flag, Text, expected, holding
from hfvae_runner.data._cache import checksum
from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._examples import Rows
from hfvae_runner.data._own import Bins, Own, SplitSeed, TestShare, dataset_of, refuse_bad_values
from hfvae_runner.errors import ConfigError, DataError, nearest

ColumnNames = Annotated[tuple[Text, ...], Strict(False), expected("a list of columns such as [a, b]")]
_SHOWN = 5


@holding("dataset")
def table(
    *,
    file: Text | None,
    test_file: Text | None = None,
    label: Text | None = None,
    factors: ColumnNames = (),
    ignore: ColumnNames = (),
    standardise: Flag = True,
    test_share: TestShare = 0.1,
    split_seed: SplitSeed = 0,
    factor_bins: Bins = FACTOR_BINS,
    root: Text,
    subset: Count | None = None,
) -> Dataset:
    """Vectors [D] of a table's numeric columns, but for those that are a label, a factor, or ignored.

    Args:
        file: ``.csv`` with a header, or ``.parquet``.
        test_file: another one, with what is tested on; None holds a share of the first one out.
        label: the column of the class.
        factors: columns of ground-truth factors.
        ignore: columns that are left out.
        standardise: bring each column to mean 0 and standard deviation 1 over the training rows.
        test_share: of the examples, how many are held out.
        split_seed: of this choice.
        factor_bins: bins of equal width for a continuous factor, where a metric wants classes. Factors of whole
            numbers, and others of at most 50 values that recur, are classes as they are.
        root: where checksums are kept, ``data_root``.
        subset: how many random training examples to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range, or names a column that is not there.
        DataError: a file is missing or malformed, or a value is missing.
    """
    if file is None:
        raise ConfigError("dataset.file is null; expected the name of a .csv or .parquet file")
    apart = _apart(label, factors, ignore)
    paths = [Path(each) for each in (file, test_file) if each is not None]
    frames = [_read(path) for path in paths]
    columns = _columns(frames[0], paths[0], apart)
    parts = []
    for path, frame in zip(paths, frames, strict=True):
        _check_columns(frame, path, [*columns, *apart])
        # Of both tables at once, so that a word has the same number in each.
        numbers = [_numbers(frame, path, name, frames) for name in factors]
        parts.append(
            Own(
                str(path),
                Rows(torch.from_numpy(_values(frame, path, columns))),
                "real",
                labels=None if label is None else _label(frame, path, label),
                factors=np.stack(numbers, axis=1) if factors else None,
                factor_names=tuple(factors),
                digest=checksum(Path(root), [path]),
            )
        )
    if standardise:
        _refuse_constant(parts[0], columns)
    return dataset_of(
        parts[0],
        parts[1] if len(parts) > 1 else None,
        test_share=test_share,
        split_seed=split_seed,
        factor_bins=factor_bins,
        subset=subset,
        standardise=standardise,
    )


def _apart(label: str | None, factors: tuple[str, ...], ignore: tuple[str, ...]) -> list[str]:
    """Return the columns that are no part of the vectors; a label may be a factor, too."""
    for option, names in {"factors": factors, "ignore": ignore}.items():
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(f"dataset.{option} has {repeated!r} twice; expected different columns")
    if both := next((name for name in ignore if name in factors or name == label), None):
        raise ConfigError(f"dataset.ignore has {both!r}, which is the label or a factor; expected other columns")
    return list(dict.fromkeys([*([] if label is None else [label]), *factors, *ignore]))


def _read(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise DataError(f"{path}: expected a file that ends in .csv or .parquet")
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'missing'}; expected a table")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise DataError(f"{path}: needs pyarrow; expected a .csv file, or pip install 'hfvae_runner[parquet]'")
    try:
        frame = (_csv if path.suffix == ".csv" else pd.read_parquet)(path).rename(columns=str)
    except (OSError, ValueError, MemoryError, pd.errors.ParserWarning) as error:
        what = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read ({what}); expected a table with a header") from None
    if not len(frame):
        raise DataError(f"{path} holds no rows; expected a header, and a row for each example")
    if frame.columns.has_duplicates:
        raise DataError(
            f"{path} has two columns {frame.columns[frame.columns.duplicated()][0]!r}; expected different names"
        )
    return frame


def _csv(path: Path) -> pd.DataFrame:
    # Names as they stand: pandas would make a second column "a" of the same name "a.1".
    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):  # rows longer than the header
        frame = pd.read_csv(path, low_memory=False, index_col=False)
    frame.columns = pd.Index(names.iloc[0])
    return frame


def _columns(frame: pd.DataFrame, path: Path, apart: Sequence[str]) -> list[str]:
    """Return the columns of the vectors."""
    _check_columns(frame, path, apart)
    columns = [name for name in frame.columns if name not in apart]
    words = [name for name in columns if frame[name].dtype.kind not in "biuf"]
    if words:
        raise DataError(
            f"{path}: {_listed(words)} hold no numbers; expected numeric columns, or "
            f"dataset.ignore=[{','.join(words[:_SHOWN])}] or dataset.label={words[0]}"
        )
    if not columns:
        raise DataError(f"{path} has no columns left for vectors; expected one or more")
    return columns


def _check_columns(frame: pd.DataFrame, path: Path, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame.columns:
            known = [str(each) for each in frame.columns]
            raise ConfigError(f"{path} has no column {name!r}; expected one of {_listed(known)}{nearest(name, known)}")


def _refuse_constant(own: Own, columns: Sequence[str]) -> None:
    x = own.x[torch.arange(len(own.x))]
    alike = (x == x[0]).all(0) if len(x) > 1 else torch.zeros(len(columns))
    if constant := [name for name, each in zip(columns, alike.tolist(), strict=True) if each]:
        raise DataError(
            f"{own.where}: there is one value only in {_listed(constant)}, which cannot be standardised; expected "
            f"dataset.ignore=[{','.join(constant[:_SHOWN])}{',…' if len(constant) > _SHOWN else ''}], or "
            "dataset.standardise=false"
        )


def _values(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> np.ndarray:
    """Return the vectors, float32 [N, D]."""
    _refuse_missing(frame, path, columns)
    values = np.empty((len(frame), len(columns)), np.float32)
    with np.errstate(over="ignore"):  # too large for a float32, it is infinite and refused
        for d, name in enumerate(columns):
            values[:, d] = frame[name].to_numpy(np.float64)
    for name, least, most in zip(columns, values.min(axis=0, initial=0), values.max(axis=0, initial=0), strict=True):
        if not (np.isfinite(least) and np.isfinite(most)):
            raise DataError(
                f"{path}: column {name!r} holds infinity, or numbers beyond a float32; expected finite ones"
            )
    if values.size:
        refuse_bad_values(str(path), float(values.min()), float(values.max()), unit=False)
    return values


def _refuse_missing(frame: pd.DataFrame, path: Path, columns: Sequence[str]) -> None:
    for name in columns:
        missing = np.flatnonzero(frame[name].isna().to_numpy())
        if len(missing):
            raise DataError(
                f"{path}: {len(missing)} values are missing in column {name!r}, the first in row {missing[0] + 1}; "
                "expected none"
            )


def _label(frame: pd.DataFrame, path: Path, name: str) -> np.ndarray:
    _refuse_missing(frame, path, [name])
    values = frame[name].to_numpy()
    return values if values.dtype.kind in "biuf" else values.astype(np.str_)


def _numbers(frame: pd.DataFrame, path: Path, name: str, frames: Sequence[pd.DataFrame]) -> np.ndarray:
    """Return a factor, float64 [N]; of words it is their number in the order of all that occur in the tables."""
    _refuse_missing(frame, path, [name])
    if all(each[name].dtype.kind in "biuf" for each in frames if name in each.columns):
        return frame[name].to_numpy(np.float64)
    columns = [each[name].astype(str).to_numpy(np.str_) for each in frames if name in each.columns]
    return np.searchsorted(np.unique(np.concatenate(columns)), frame[name].astype(str).to_numpy(np.str_)).astype(float)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
