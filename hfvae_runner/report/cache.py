"""The report's cache beside results.csv, with which a later report reads only the runs that have changed.

The file contains gzipped JSON lines: a head, then a line per run. Like any file in a folder of runs, it is not trusted.
A cached run is used only if the signature of its files is unchanged, and after a damaged line all runs are read again.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import hfvae_runner
from hfvae_runner.errors import DataError
from hfvae_runner.report.listing import Listing
from hfvae_runner.report.runs import (
    DEEPEST,
    STATUSES,
    UNREADABLE,
    Run,
    checked_config,
    checked_metrics,
    file_stat,
    plain,
)
from hfvae_runner.storage.files import atomic

NAME = ".report.jsonl.gz"
_FORMAT = 1
_LONGEST = 1 << 26
"""The largest number of bytes of a line; the files of a run are not larger."""
_FASTEST = 1
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BROKEN = (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, AttributeError, RecursionError, DataError)
"""Errors that a damaged file raises."""


class Found(NamedTuple):
    """A run folder, its name, and the signature of its files."""

    path: Path
    name: str
    signature: str


class Outcome(NamedTuple):
    """The result of a report: the files that it wrote, by name, with their stats, and what it printed."""

    files: Mapping[str, object]
    listing: Listing


def outcome(home: Path, found: Mapping[str, Found]) -> Outcome | None:
    """Return the earlier report's outcome if neither the runs nor the report's files have changed, else None.

    Args:
        home: the report's folder.
        found: the runs by their paths relative to ``home``.
    """
    try:
        with _open(home) as stream:
            head = json.loads(stream.readline(_LONGEST))
        now = {place: each.signature for place, each in found.items()}
        if head["made_by"] != _made_by() or head["runs"] != now or head["files"] != _stats(home, head["files"]):
            return None
        above, columns, below = cast(list[list[object]], plain(head["listing"], NAME))
        return Outcome(head["files"], Listing(_texts(above), [_texts(column) for column in columns], _texts(below)))
    except _BROKEN:
        # No error: a new report is made.
        return None


def kept_runs(home: Path, found: Mapping[str, Found]) -> dict[str, Run]:
    """Return the runs that an earlier report has read from these folders; their files may have changed since."""
    runs: dict[str, Run] = {}
    try:
        with _open(home) as stream:
            if json.loads(stream.readline(_LONGEST))["made_by"] != _made_by():
                return {}
            while text := stream.readline(_LONGEST):
                place, *content = json.loads(text)
                if place in found:
                    runs[place] = _run(content if _is_plain(text) else plain(content, NAME), found[place])
    except _BROKEN:
        # No error: the folders themselves are read.
        pass
    return runs


def keep(
    home: Path, found: Mapping[str, Found], runs: Sequence[Run], names: Iterable[str], listing: Listing
) -> Outcome:
    """Write the cache: the runs, the listing, and the stats of the files that were written into ``home``.

    Raises:
        StorageError: the cache cannot be written.
    """
    files = _stats(home, names)
    readable = {run.path: run for run in runs if run.status != UNREADABLE}
    # An unreadable run may be readable next time, even if its files have not changed.
    signatures = {place: each.signature if each.path in readable else "" for place, each in found.items()}
    head = {"made_by": _made_by(), "runs": signatures, "files": files, "listing": listing}
    with atomic(home / NAME) as raw, gzip.GzipFile(NAME, "wb", _FASTEST, raw, 0) as stream:
        stream.write(f"{json.dumps(head)}\n".encode())
        for place, each in found.items():
            if run := readable.get(each.path):
                row = [place, run.signature, run.status, run.reason, run.config, run.metrics]
                stream.write(f"{json.dumps(row)}\n".encode())
    return Outcome(files, listing)


def _open(home: Path) -> gzip.GzipFile:
    # Reading anything but a regular file, such as a pipe, might never end.
    if not (home / NAME).is_file():
        raise FileNotFoundError(NAME)
    return gzip.GzipFile(home / NAME)


def _is_plain(line: bytes) -> bool:
    """Return whether `plain` would return the line's content unchanged, without calling it, which takes longer."""
    depth = deepest = 0
    for character in line.translate(None, _NO_BRACKETS):
        depth += 1 if character in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest <= DEEPEST and line.isascii() and b"\\" not in line and b"\x7f" not in line


def _run(content: object, found: Found) -> Run:
    signature, status, reason, config, metrics = cast(list[object], content)
    if not (isinstance(signature, str) and isinstance(reason, str) and status in STATUSES):
        raise ValueError("expected text")
    if not (isinstance(config, dict) and isinstance(metrics, dict)):
        raise ValueError("expected objects")
    if config:
        checked_config(config)
    if metrics:
        checked_metrics(metrics)
    return Run(found.path, found.name, str(status), reason, config, metrics, signature)


def _texts(values: object) -> list[str]:
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return values
    raise ValueError("expected lists of text")


def _stats(home: Path, names: Iterable[str]) -> dict[str, object]:
    return {name: list(file_stat(home / name)) for name in names}


def _made_by() -> str:
    """Return a digest of this program's files, since another version may read and write other content."""
    package = Path(hfvae_runner.__file__).parent
    files = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".css", ".js"))
    content = [_FORMAT, hfvae_runner.__version__, *((str(path), file_stat(path)) for path in files)]
    return hashlib.sha256(repr(content).encode()).hexdigest()
