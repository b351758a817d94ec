"""All runs below some folders: those that an earlier report has kept as they were, the others read now."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from hfvae_runner.console import progress
from hfvae_runner.report import cache
from hfvae_runner.report.cache import Cache, place_of
from hfvae_runner.report.runs import Run, find, read, shown, signature
from hfvae_runner.report.settings import natural

_SOME = 400
"""Runs from which on other processes take less time to read them than to start."""
_AT_ONCE = 50


def collect(folders: Sequence[Path]) -> tuple[list[Run], Cache]:
    """The runs below the folders, each once, by name as seen from the first folder, and what was kept there before.

    Raises:
        DataError: a folder is missing or cannot be read.
    """
    home = folders[0].resolve()
    paths = {place_of(path, home): path for path in find(folders)}
    names = {place: shown(place) for place in paths}
    kept = cache.load(home, names)
    runs = [run for place, run in kept.runs.items() if run.signature == signature(paths[place])]
    known = {run.path for run in runs}
    unknown = [(path, names[place]) for place, path in paths.items() if path not in known]
    runs += progress(_read(unknown), "reading runs", wanted=True, total=len(unknown))
    return sorted(runs, key=lambda run: natural(run.name)), kept


def _read(paths: Sequence[tuple[Path, str]]) -> Iterator[Run]:
    """The runs in the folders, which have a name each."""
    cores = min(os.cpu_count() or 1, len(paths) // _SOME + 1)
    if cores == 1:
        for path, name in paths:
            yield read(path, name)
        return
    # A new process each: forked ones would share what threads of this one hold.
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _ignore_interrupts)
    try:
        yield from pool.map(read, *zip(*paths, strict=True), chunksize=_AT_ONCE)
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
