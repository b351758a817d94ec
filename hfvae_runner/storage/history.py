"""Files that training appends to: history.csv, and evaluations.jsonl.

Appended lines go to the operating system at once; ``flush`` writes them to the disk.
"""

import csv
import io
import json
import numbers
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hfvae_runner.storage.files import strict_json, write_atomic, writing

if TYPE_CHECKING:
    import pandas as pd


class Evaluations:
    """``evaluations.jsonl``: the measurements during training, one JSON object per line, each with its ``step``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, row: Mapping[str, object]) -> None:
        """Append a line, unbuffered; raise ValueError with the name of a number that is not finite."""
        line = strict_json(row, self._path.name)
        with writing(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def flush(self) -> None:
        """Flush all lines to the disk."""
        if self._path.exists():
            with writing(self._path), self._path.open("rb") as stream:
                os.fsync(stream.fileno())

    def truncate(self, step: int) -> None:
        """Remove the lines after ``step`` and an incomplete last line, atomically."""
        if self._path.exists():
            with self._path.open(encoding="utf-8", newline="\n") as stream:
                kept = [line for line in stream if line.endswith("\n") and json.loads(line)["step"] <= step]
            write_atomic(self._path, "".join(kept))


class History:
    """``history.csv``: a row per logging step, with the columns of its first row; one of them is ``step``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None
        self._columns: list[str] = []

    def append(self, row: Mapping[str, float | int]) -> None:
        """Append a row, unbuffered; floats are written with full precision.

        Raises:
            ValueError: the columns differ from those of the first row, or there is no column ``step``.
        """
        stream = self._stream or self._open(list(row))
        if row.keys() != set(self._columns):
            different = sorted(row.keys() ^ set(self._columns))
            raise ValueError(f"history row at step {row.get('step')}: columns {different} differ from the first row's")
        with writing(self._path):
            _write_row(stream, [_as_text(row[column]) for column in self._columns])

    def flush(self) -> None:
        """Flush all rows to the disk; raise StorageError on failure."""
        if self._stream is not None:
            with writing(self._path):
                os.fsync(self._stream.fileno())

    def truncate(self, step: int) -> None:
        """Remove the rows after ``step`` and an incomplete last row, atomically."""
        self.close()
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", newline="\n") as stream:
            header, *rows = [line for line in stream if line.endswith("\n")] or [""]
        place = _cells(header).index("step") if header else 0
        kept = [row for row in rows if int(_cells(row)[place]) <= step]
        write_atomic(self._path, "".join([header, *kept]))

    def read(self) -> "pd.DataFrame":
        """Return all rows so far; an empty frame before the first row."""
        import pandas as pd

        if not self._path.exists():
            return pd.DataFrame()
        with self._path.open(encoding="utf-8", newline="") as stream:
            columns, *rows = list(csv.reader(stream)) or [[]]
        # Parsed here, since not every pandas version reads floats exactly.
        return pd.DataFrame([[_as_number(cell) for cell in row] for row in rows], columns=columns)

    def close(self) -> None:
        """Close the file; a later row opens it again."""
        if self._stream is not None:
            # Rows are written at once: only the rest of a failed write can be left, and it would fail again.
            with suppress(OSError):
                self._stream.close()
            self._stream = None

    def _open(self, columns: list[str]) -> TextIO:
        if "step" not in columns:
            raise ValueError(f"history row without a step: {columns}")
        header = ""
        if self._path.exists():
            with self._path.open(encoding="utf-8", newline="\n") as stream:
                header = stream.readline()
        self._columns = _cells(header) or columns
        with writing(self._path):
            self._stream = self._path.open("a", encoding="utf-8", newline="")
            if not header:
                _write_row(self._stream, columns)
        return self._stream


def _as_text(value: float | int) -> str:
    return str(int(value)) if isinstance(value, numbers.Integral) else repr(float(value))


def _as_number(text: str) -> float | int:
    return int(text) if text.removeprefix("-").isdecimal() else float(text)


def _write_row(stream: TextIO, cells: list[str]) -> None:
    csv.writer(stream, lineterminator="\n").writerow(cells)
    stream.flush()


def _cells(line: str) -> list[str]:
    return next(csv.reader(io.StringIO(line)), [])
