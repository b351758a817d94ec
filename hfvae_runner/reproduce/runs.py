"""Runs a study's sweeps, and finds the runs that they left."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.report.runs import COMPLETED, Run, find, read, signature_of
from hfvae_runner.report.settings import as_number, as_text, natural
from hfvae_runner.reproduce.study import Quantity, Selection, Size, Study

RUNS = "runs"
"""The folder below a study's own that holds a folder of runs for each sweep."""
UNRECORDED = "not recorded"


@dataclass(frozen=True)
class Found:
    """The runs of a study at one size.

    Attributes:
        study: whose runs they are.
        size: of the study.
        runs: by sweep, sorted by folder; failed and unfinished ones too.
    """

    study: Study
    size: Size
    runs: Mapping[str, Sequence[Run]]

    def completed(self, selection: Selection) -> list[Run]:
        """Return the finished runs of a selection, by seed."""
        wanted = {key: as_text(value) for key, value in selection.where.items()}
        chosen = [
            run
            for sweep in selection.sweeps
            for run in self.runs.get(sweep, ())
            if run.status == COMPLETED and all(run.texts.get(key) == text for key, text in wanted.items())
        ]
        return sorted(chosen, key=lambda run: natural(as_text(run.config.get("seed"))))

    def all_completed(self) -> list[Run]:
        """Return the finished runs of all sweeps."""
        return [run for runs in self.runs.values() for run in runs if run.status == COMPLETED]

    def commits(self) -> dict[str, int]:
        """Return how many finished runs each commit of the program made."""
        return counted_commits(run.metrics for run in self.all_completed())


def commit_of(metrics: Mapping[str, object]) -> str:
    """Return the commit of the program that made these results, the content of a metrics.json."""
    run = metrics.get("run")
    versions = run.get("versions") if isinstance(run, Mapping) else None
    commit = versions.get("commit") if isinstance(versions, Mapping) else None
    return commit if isinstance(commit, str) else UNRECORDED


def counted_commits(results: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """Return how many of these results, each the content of a metrics.json, each commit made."""
    return dict(sorted(Counter(map(commit_of, results)).items()))


def execute(study: Study, size: Size, folder: Path, overrides: Sequence[str]) -> int:
    """Run a study's sweeps, skipping the runs that are done and resuming those that are not.

    Args:
        study: to run.
        size: of its sweeps.
        folder: the study's own.
        overrides: further ones for every sweep, such as a launcher.

    Returns:
        The exit code of the first sweep that failed; 0 if none did.
    """
    # Hydra takes half a second to import, which --list does not need.
    from hfvae_runner.launch import main
    from hfvae_runner.launch.composition import quoted

    code = 0
    for name, sweep in study.sweeps_of(size).items():
        place = quoted(str(folder / RUNS / name))
        command = ["-m", *sweep.overrides(size), "resume=auto", *overrides, f"hydra.sweep.dir={place}"]
        code = code or main(command)
    return code


def jobs(study: Study, size: Size) -> int:
    """Return how many runs the study's sweeps have at a size."""
    from hfvae_runner.launch.composition import parse_overrides

    total = 0
    for sweep in study.sweeps_of(size).values():
        last = {each.get_key_element(): each for each in parse_overrides(sweep.overrides(size))}
        swept = (each for each in last.values() if each.is_sweep_override())
        total += math.prod(len(list(each.sweep_string_iterator())) for each in swept)
    return total


def collect(study: Study, size: Size, folder: Path) -> Found:
    """Read the runs below a study's folder.

    Raises:
        DataError: the folder cannot be read.
    """
    runs: dict[str, Sequence[Run]] = {}
    for name in study.sweeps_of(size):
        below = folder / RUNS / name
        paths = find([below]) if below.is_dir() else []
        runs[name] = [read(path, path.name, signature_of(path)) for path in sorted(paths)]
    return Found(study, size, runs)


def value_of(run: Run, quantity: Quantity) -> float | None:
    """Return one number of a finished run; None where the run has none there.

    Raises:
        ConfigError: the place holds no number, or no numbers to take the maximum, mean, sum or count of.
    """
    content: object = run.metrics
    for part in quantity.metric.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    if content is None:
        return None
    if quantity.take == "value":
        return _number(content, quantity)
    inner = list(content.values()) if isinstance(content, Mapping) else content
    if not isinstance(inner, list):
        raise ConfigError(f"{quantity.metric} is {content!r}; expected several numbers to take the {quantity.take} of")
    numbers = sorted((_number(each, quantity) for each in inner if each is not None), reverse=True)
    if not numbers:
        return None
    if quantity.take == "count":
        return float(sum(each > quantity.above for each in numbers))
    chosen = numbers[: quantity.top]
    return {"max": chosen[0], "sum": sum(chosen), "mean": sum(chosen) / len(chosen)}[quantity.take]


def values_of(runs: Sequence[Run], quantity: Quantity) -> list[float]:
    """Return a quantity of each run that has it."""
    found = [value_of(run, quantity) for run in runs]
    return [value for value in found if value is not None]


def grouped(runs: Sequence[Run], keys: Sequence[str], quantity: Quantity) -> dict[tuple[str | None, ...], list[float]]:
    """Return a quantity of the runs that have it, by their values of some settings; None where a run lacks one."""
    found: dict[tuple[str | None, ...], list[float]] = {}
    for run in runs:
        if (value := value_of(run, quantity)) is not None:
            found.setdefault(tuple(run.texts.get(key) for key in keys), []).append(value)
    return found


def place_of(run: Run, x: Quantity | str) -> float | None:
    """Return a quantity, or the number of a setting such as ``beta``; None where the run has none."""
    return value_of(run, x) if isinstance(x, Quantity) else as_number(run.settings.get(x))


def refuse_other_commits(commits: Mapping[str, int], commit: str | None, place: Path, key: str) -> None:
    """Raise DataError where another commit made some of the finished runs.

    Args:
        commits: how many finished runs each commit made.
        commit: that is running; None where it is unknown.
        place: where the runs are.
        key: of the command line that names another place.
    """
    own = UNRECORDED if commit is None else commit
    others = [f"{name} ({count})" for name, count in commits.items() if name != own]
    if others:
        raise DataError(
            f"{place} holds runs of another commit: {', '.join(others)}; this is {own}; "
            f"expected another {key}=FOLDER, or commits=any to add to them"
        )


def _number(content: object, quantity: Quantity) -> float:
    number = as_number(content)
    if number is None:
        raise ConfigError(f"{quantity.metric} is {content!r}; expected a number")
    return number
