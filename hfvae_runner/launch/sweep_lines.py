"""What a sweep shows on the terminal: a line for each job that ends, and a summary.

The lines that a job itself logs are in its run.log.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hfvae_runner.errors import RunnerError
from hfvae_runner.storage import run_folder

_LONGEST = 60
_LONGEST_REASON = 200
_NAMED = 3
"""How many jobs that have not finished are named."""
_OBJECTIVES: Mapping[str, str] = {"elbo": "ELBO", "reconstruction": "reconstruction"}
"""The number that stands for a run, the first one that it has; larger is better for all of them."""


@dataclass
class Tally:
    """The jobs of a sweep that run in this process, one after the other.

    Attributes:
        total: how many jobs there are to be done.
        done: how many of them have ended.
        best: the largest value so far.
    """

    total: int
    done: int = 0
    best: float | None = None
    _start: float = field(default_factory=time.monotonic)

    def note(self, value: float | None) -> str:
        """Count a job with this value; return the count, and what it says of the sweep so far."""
        self.done += 1
        if value is not None and (self.best is None or value > self.best):
            self.best = value
        left = self.total - self.done
        seconds = (time.monotonic() - self._start) / self.done * left
        best = "" if self.best is None else f"; best so far {self.best:.2f}"
        return f"{self.done} of {self.total}{best}" + (f"; about {_duration(seconds)} left" if left > 0 else "")


def ended(number: int, folder: Path, tally: Tally | None) -> str:
    """Return the line of a job that has ended.

    Args:
        number: of the job.
        folder: of its run.
        tally: of the sweep, if this process runs all of its jobs.
    """
    found = _value(folder)
    about = "failed" if found is None else f"{found[0]} {found[1]:.2f}"
    rest = "" if tally is None else f" ({tally.note(None if found is None else found[1])})"
    return f"job {number}, {shortened(folder.name)}: {about}{rest}"


def summary(folders: Sequence[Path], home: Path) -> list[str]:
    """Return the lines at the end of a sweep: how many jobs have finished and why not all, the best, and what next.

    Args:
        folders: the run folder of each job.
        home: the sweep's folder.
    """
    found = {folder: value for folder in folders if (value := _value(folder)) is not None}
    failed = len(folders) - len(found)
    lines = [f"{len(found)} of {len(folders)} jobs finished" + (f", {failed} did not" if failed else "")]
    left = [(number, folder) for number, folder in enumerate(folders) if folder not in found]
    lines += [f"job {number}, {shortened(folder.name)}: {_why_not(folder)}" for number, folder in left[:_NAMED]]
    if failed > _NAMED:
        lines.append(f"and {failed - _NAMED} more")
    if found:
        title = next(iter(found.values()))[0]
        best = max((folder for folder in found if found[folder][0] == title), key=lambda folder: found[folder][1])
        lines.append(f"best {title} {found[best][1]:.2f}: {best}")
    return [*lines, f"compare them: python -m hfvae_runner.report {home}"]


def shortened(name: str) -> str:
    """Return a folder's name; of a long one its beginning and the hash at its end."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 10]}…{name[-9:]}"


def _why_not(folder: Path) -> str:
    """Return why a run has not finished, as far as its folder tells."""
    from hfvae_runner.report.runs import is_run, read  # only a sweep with such a run needs it

    if not is_run(folder):
        return "not started"
    reason = read(folder, folder.name, "").reason or "stopped, has a checkpoint"
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"


def _value(folder: Path) -> tuple[str, float] | None:
    """Return the title and value of the number that stands for a finished run; None for any other folder."""
    if run_folder.inspect(folder) != "finished":
        return None
    try:
        test = run_folder.load_metrics(folder).get("test")
    except RunnerError:
        return None
    numbers = test if isinstance(test, Mapping) else {}
    return next(
        (
            (title, float(numbers[key]))
            for key, title in _OBJECTIVES.items()
            if isinstance(numbers.get(key), int | float)
        ),
        None,
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
