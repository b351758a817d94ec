"""A user's own vectors from a table, ``.csv`` or ``.parquet``."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hfvae_runner.data._cache import checksum
from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._images import data_root
from hfvae_runner.data._own import Own, dataset_of, refuse_bad_values
from hfvae_runner.errors import ConfigError, DataError, nearest

_SHOWN = 5


def table(
    *,
    file: str | None,
    test_file: str | None = None,
    label: str | None = None,
    factors: Sequence[str] = (),
    ignore: Sequence[str] = (),
    standardise: bool = True,
    test_share: float = 0.1,
    split_seed: int = 0,
    factor_bins: int = 10,
    root: str,
    subset: int | None = None,
) -> Dataset:
    """Vectors [D] of a table's numeric columns, but for those that are a label, a factor, or ignored.

    Args:
        file: ``.csv`` with a header, or ``.parquet``.
        test_file: another one, with what is tested on; None holds a share of the first one out.
        label: the column of the class.
        factors: columns of ground-truth factors.
        ignore: columns that are left out.
        standardise: bring each column to mean 0 and standard deviation 1 over ``file``.
        test_share: of the examples, how many are held out.
        split_seed: of this choice.
        factor_bins: bins of equal width for a factor of more than 50 distinct values.
        root: where checksums are kept, ``data_root``.
        subset: how many random training examples to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range, or names a column that is not there.
        DataError: a file is missing or malformed, or a value is missing.
    """
    if file is None:
        raise ConfigError("dataset.file is null; expected the name of a .csv or .parquet file")
    place = data_root(root)
    apart = [*([] if label is None else [label]), *factors, *ignore]
    frames = [_read(Path(each)) for each in (file, test_file) if each is not None]
    columns = _columns(frames[0], Path(file), apart)
    centre, scale = _scaling(frames[0], columns) if standardise else (0.0, 1.0)
    parts = []
    for path, frame in zip((file, test_file), frames, strict=False):
        where = Path(str(path))
        _check_columns(frame, where, [*columns, *apart])
        _refuse_missing(frame, where, columns)
        values = ((frame[columns].to_numpy(np.float64) - centre) / scale).astype(np.float32)
        refuse_bad_values(str(where), float(values.min()), float(values.max()), unit=False)
        parts.append(
            Own(
                str(where),
                torch.from_numpy(values),
                "real",
                labels=None if label is None else _label(frame, where, label),
                factors=_numbers(frame, where, factors) if factors else None,
                factor_names=tuple(factors),
                digest=checksum(place, [where]),
                notes=(("standardised", "each column to mean 0 and deviation 1 over the file"),) if standardise else (),
            )
        )
    test = parts[1] if len(parts) > 1 else None
    return dataset_of(
        parts[0], test, test_share=test_share, split_seed=split_seed, factor_bins=factor_bins, subset=subset
    )


def _read(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise DataError(f"{path}: expected a file that ends in .csv or .parquet")
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'missing'}; expected a table")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise DataError(f"{path}: needs pyarrow; expected a .csv file, or pip install 'hfvae_runner[parquet]'")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read ({what}); expected a table with a header") from None
    if frame.columns.has_duplicates:
        raise DataError(
            f"{path} has two columns {frame.columns[frame.columns.duplicated()][0]!r}; expected names of one"
        )
    return frame.rename(columns=str)


def _columns(frame: pd.DataFrame, path: Path, apart: Sequence[str]) -> list[str]:
    """The columns of the vectors."""
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


def _numbers(frame: pd.DataFrame, path: Path, names: Sequence[str]) -> np.ndarray:
    """Factors [N, K]; those in words are numbered in the order of their sorted values."""
    _refuse_missing(frame, path, names)
    columns = [frame[name].to_numpy() for name in names]
    numbers = [
        column.astype(float) if column.dtype.kind in "biuf" else np.unique(column.astype(str), return_inverse=True)[1]
        for column in columns
    ]
    return np.stack(numbers, axis=1).astype(float)


def _scaling(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, [D] each; of a constant one the deviation is taken as 1."""
    values = frame[list(columns)].to_numpy(np.float64)
    deviation = values.std(axis=0)
    return values.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
