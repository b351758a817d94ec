"""Measures two simultaneous commands on one machine against one command alone."""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from hfvae_runner.openmp import SPIN_COUNT

ROOT = Path(__file__).resolve().parents[2]
LIBGOMP = 300_000
"""The number of turns that libgomp's threads spin by default."""
_RATE = "examples_per_second"


class Taken(NamedTuple):
    """The sum of the runs' median examples per second in training, and the seconds until the last run has ended."""

    rate: float
    seconds: float


def lines(commands: Mapping[str, Sequence[str]], rounds: int, spins: Sequence[int] = (LIBGOMP,)) -> Iterator[str]:
    """Yield a line for each command and number of turns, each measured once in every round.

    Args:
        commands: overrides by title.
        rounds: the number of rounds.
        spins: numbers of turns to compare with the program's own setting.

    Raises:
        subprocess.CalledProcessError: a command failed; its message has been printed.
    """
    yield f"{'two at once':<34}{'alone ex/s':>12}{'both ex/s':>11}{'ratio':>8}   {'[least, most]':<16}{'command':>8}"
    for title, overrides in commands.items():
        yield title
        waits = {f"as ours, {int(SPIN_COUNT):,} turns": None} | {f"{turns:,} turns": str(turns) for turns in spins}
        taken: dict[str, list[tuple[Taken, Taken]]] = {wait: [] for wait in waits}
        for _ in range(rounds):
            for wait, turns in waits.items():
                taken[wait].append((measured(overrides, turns, 1), measured(overrides, turns, 2)))
        yield from (_line(wait, found) for wait, found in taken.items())
        ours, *others = (median(alone.rate for alone, _ in found) for found in taken.values())
        yield f"  one alone: {ours / others[-1]:.2f} of the rate with the last number of turns"


def _line(wait: str, taken: Sequence[tuple[Taken, Taken]]) -> str:
    ratios = [both.rate / alone.rate for alone, both in taken]
    # Two runs one after the other take twice as long as one.
    whole = median(2 * alone.seconds / both.seconds for alone, both in taken)
    alone, both = (median(each.rate for each in column) for column in zip(*taken, strict=True))
    spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
    return f"  {wait:<32}{alone:>12,.0f}{both:>11,.0f}{median(ratios):>8.2f}   {spread:<16}{whole:>8.2f}"


def measured(overrides: Sequence[str], spins: str | None, runs: int) -> Taken:
    """Run the same command ``runs`` times at once, each in its own process and folder.

    Args:
        overrides: the command's overrides.
        spins: the processes' GOMP_SPINCOUNT; None for the program's own setting.
        runs: the number of processes.

    Raises:
        subprocess.CalledProcessError: the command failed; its message has been printed.
    """
    own = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"PYTHONPATH": str(ROOT)} | ({} if spins is None else {"GOMP_SPINCOUNT": spins})
    with tempfile.TemporaryDirectory(prefix="bench_pairs_") as scratch:
        folders = [Path(scratch) / str(run) for run in range(runs)]
        begun = time.perf_counter()
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "hfvae_runner", *overrides, f"hydra.run.dir={folder}"],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for folder in folders
        ]  # fmt: skip
        for process in processes:
            _, said = process.communicate()
            if process.returncode:
                print(said, file=sys.stderr, end="")
                raise subprocess.CalledProcessError(process.returncode, process.args)
        seconds = time.perf_counter() - begun
        return Taken(sum(map(_rate, folders)), seconds)


def _rate(folder: Path) -> float:
    """Return the median rate of history.csv without the first row, which includes compiling and filling caches."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as stream:
        return median([float(row[_RATE]) for row in csv.DictReader(stream)][1:])
