"""The runs' training curves for the page, from their history.csv, within limits."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hfvae_runner.errors import DataError
from hfvae_runner.report.runs import HISTORY, Run

_MOST_BYTES = 1 << 26
_MOST_COLUMNS = 200
_POINTS = 100
_LEFT_OUT = ("step", "epoch")
_DIGITS = 5
_BROKEN = (ValueError, csv.Error)


class Curves(NamedTuple):
    """One run's training curves.

    Attributes:
        step: optimiser steps, [P] with P of at most a hundred; the first and the last row of the file are among them.
        values: by column, [P] each; None where a number is not finite. Columns of a single numbered latent variable are
            left out, since their order is arbitrary in each seed.
    """

    step: list[int]
    values: dict[str, list[float | None]]


def curves(run: Run) -> Curves | None:
    """Read a run's training curves; None if it has no history.

    Raises:
        DataError: the file is malformed or too large.
    """
    path = run.path / HISTORY
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{HISTORY} has more than {_MOST_BYTES >> 20} MB")
        return _parsed(_lines(path))
    except OSError as error:
        raise DataError(f"{HISTORY} cannot be read: {error.strerror}") from error
    except _BROKEN as error:
        raise DataError(f"{HISTORY} is not a history: {' '.join(str(error).split())}") from error


def _lines(path: Path) -> list[str]:
    """Return the file's whole lines; the last one of a killed run may lack its end."""
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _parsed(lines: Sequence[str]) -> Curves | None:
    if len(lines) < 2:
        return None
    header, *rows = csv.reader([lines[0], *_spread(lines[1:])])
    if "step" not in header or len(header) > _MOST_COLUMNS or any(len(row) != len(header) for row in rows):
        raise ValueError(f"expected a column 'step', at most {_MOST_COLUMNS} columns, and rows of one length")
    cells = dict(zip(header, zip(*rows, strict=True), strict=True))
    step = [int(cell) for cell in cells["step"]]
    shown = [name for name in cells if name not in _LEFT_OUT and not name.endswith("]")]
    return Curves(step, {name: [_number(cell) for cell in cells[name]] for name in shown})


def _spread(rows: Sequence[str]) -> list[str]:
    """Return at most `_POINTS` rows at equal distances, the first and the last among them."""
    if len(rows) <= _POINTS:
        return list(rows)
    return [rows[place] for place in np.linspace(0, len(rows) - 1, _POINTS).round().astype(int)]


def _number(cell: str) -> float | None:
    number = float(cell)
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None
