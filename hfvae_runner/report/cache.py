"""What was read of the runs, kept beside results.csv, so that the next report reads only what has changed since.

The file is gzipped JSON lines: a head, then a line per run. Like every file in a folder of runs it may be anybody's: a
run counts only while its own files are those that were read, and from a line that is damaged on all are read again.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import hfvae_runner
from hfvae_runner.errors import DataError
from hfvae_runner.report.runs import STATUSES, UNREADABLE, Run, checked_config, checked_metrics, file_stat, plain
from hfvae_runner.storage import atomic

NAME = ".report.jsonl.gz"
_FORMAT = 1
_LONGEST = 1 << 26
"""Bytes of a line; a run's own files are smaller."""
_FASTEST = 1
_BROKEN = (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError, DataError)
"""What a damaged file raises."""


@dataclass(frozen=True)
class Cache:
    """What an earlier report has left.

    Attributes:
        runs: by their folders' paths as seen from the report's.
        written: the files that it wrote, by name, with what tells whether they are still the same.
        complete: whether every line could be used.
    """

    runs: Mapping[str, Run] = field(default_factory=dict)
    written: Mapping[str, object] = field(default_factory=dict)
    complete: bool = False

    def is_current(self, home: Path, runs: Sequence[Run]) -> bool:
        """Whether the files that were written are there, and the same runs would make the same ones."""
        same = self.complete and {place_of(run.path, home): run.signature for run in runs} == {
            place: run.signature for place, run in self.runs.items()
        }
        return same and bool(self.written) and self.written == _stats(home, self.written)


def place_of(path: Path, home: Path) -> str:
    """What a run goes by in the cache."""
    return os.path.relpath(path, home)


def load(home: Path, names: Mapping[str, str]) -> Cache:
    """What an earlier report has left in the folder ``home``.

    names: how the runs that are wanted are called now, by their places; no others are read.
    """
    path = home / NAME
    if not path.is_file():
        return Cache()
    runs: dict[str, Run] = {}
    try:
        with gzip.open(path) as stream:
            head = json.loads(stream.readline(_LONGEST))
            if head["made_by"] != _made_by() or not isinstance(head["written"], dict):
                return Cache()
            complete = True
            for place, content in _lines(cast(BinaryIO, stream), len(names)):
                known = place in names
                complete = complete and known
                if known:
                    runs[place] = _run(content, home / place, names[place])
    except _BROKEN:
        # Of no consequence: the folders themselves are read.
        return Cache(runs)
    return Cache(runs, head["written"], complete and len(runs) == head["runs"])


def save(home: Path, runs: Sequence[Run], written: Iterable[str]) -> Mapping[str, object]:
    """Keeps the runs, and what the files are like that were written into ``home``; returns the latter.

    Raises:
        StorageError: it cannot be written.
    """
    kept = [run for run in runs if run.status != UNREADABLE]
    stats = _stats(home, written)
    head = {"made_by": _made_by(), "runs": len(runs), "written": stats}
    with atomic(home / NAME) as raw, gzip.GzipFile(NAME, "wb", _FASTEST, raw, 0) as stream:
        stream.write(f"{json.dumps(head)}\n".encode())
        for run in kept:
            row = [place_of(run.path, home), run.signature, run.status, run.reason, run.config, run.metrics]
            stream.write(f"{json.dumps(row)}\n".encode())
    return stats


def _lines(stream: BinaryIO, most: int) -> Iterator[tuple[str, list[object]]]:
    for _ in range(most):
        text = stream.readline(_LONGEST)
        if not text:
            return
        place, *content = json.loads(text)
        yield place, content


def _run(content: list[object], path: Path, name: str) -> Run:
    signature, status, reason, config, metrics = cast(list[object], plain(content, NAME))
    if not (isinstance(signature, str) and isinstance(reason, str) and status in STATUSES):
        raise ValueError("expected text")
    if not (isinstance(config, dict) and isinstance(metrics, dict)):
        raise ValueError("expected objects")
    if config:
        checked_config(config)
    if metrics:
        checked_metrics(metrics)
    return Run(path, name, str(status), reason, config, metrics, signature)


def _stats(home: Path, names: Iterable[str]) -> dict[str, object]:
    return {name: list(file_stat(home / name)) for name in names}


def _made_by() -> str:
    """A digest of this program, another version of which may read and write something else."""
    package = Path(hfvae_runner.__file__).parent
    files = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".css", ".js"))
    content = [_FORMAT, hfvae_runner.__version__, *((str(path), file_stat(path)) for path in files)]
    return hashlib.sha256(repr(content).encode()).hexdigest()
