"""Collects the runs below some folders, from the cache if they are unchanged, else from their files."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from hfvae_runner.console import progress
from hfvae_runner.errors import DataError
from hfvae_runner.report.cache import Found
from hfvae_runner.report.runs import Run, find, read, shown, signature_of
from hfvae_runner.report.settings import natural

_SOME = 400
"""The number of runs from which another process saves more time than its start takes."""
_AT_ONCE = 50


def look(folders: Sequence[Path]) -> dict[str, Found]:
    """Find the run folders below the folders, each once, by their paths relative to the first folder.

    Raises:
        DataError: a folder is missing or cannot be read.
    """
    home = folders[0].resolve()
    paths = {os.path.relpath(path, home): path for path in find(folders)}
    return {place: Found(path, shown(place), signature_of(path)) for place, path in paths.items()}


def collect(found: Mapping[str, Found], kept: Mapping[str, Run]) -> list[Run]:
    """Read the runs and sort them by name.

    Args:
        found: the run folders, from ``look``.
        kept: runs from the cache, by the same paths.

    Raises:
        DataError: a process that reads runs was killed.
    """
    runs = [run for place, run in kept.items() if run.signature == found[place].signature]
    known = {run.path for run in runs}
    unknown = [each for each in found.values() if each.path not in known]
    runs += progress(_read(unknown), "reading runs", wanted=True, total=len(unknown))
    return sorted(runs, key=lambda run: natural(run.name))


def _read(found: Sequence[Found]) -> Iterator[Run]:
    cores = min(os.cpu_count() or 1, len(found) // _SOME + 1)
    if cores == 1:
        yield from (read(*each) for each in found)
        return
    # Spawned, since forked processes would inherit locks that threads of this process hold.
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _ignore_interrupts)
    try:
        yield from pool.map(read, *zip(*found, strict=True), chunksize=_AT_ONCE)
    except BrokenProcessPool:
        raise DataError("a process that read runs was killed, most likely for want of memory") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, which reaches every process of a terminal; the first process ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
