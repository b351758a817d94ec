"""The table of settings, with the mean and range over the seeds of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hfvae_runner.report.metrics import METRICS, WALL, Metric
from hfvae_runner.report.runs import COMPLETED, Run
from hfvae_runner.report.settings import MISSING, Comparison, as_text, natural

_LARGE = 100


@dataclass(frozen=True)
class Setting:
    """The runs that differ only in the seed.

    Attributes:
        values: the varying settings as text.
        runs: all of them, by seed.
    """

    values: Mapping[str, str]
    runs: tuple[Run, ...]

    @property
    def completed(self) -> list[Run]:
        """The runs with metrics."""
        return [run for run in self.runs if run.status == COMPLETED]

    @property
    def count(self) -> str:
        """The number of completed runs, as in ``5``, or ``2 of 3``."""
        done, asked = len(self.completed), len(self.runs)
        return str(done) if done == asked else f"{done} of {asked}"


class Spread(NamedTuple):
    """Mean and range over ``n`` runs, as text of equal precision."""

    mean: str
    least: str
    most: str
    n: int

    def __str__(self) -> str:
        return self.mean if self.n == 1 else f"{self.mean} [{self.least}, {self.most}]"


def group(runs: Sequence[Run], comparison: Comparison) -> list[Setting]:
    """Group the runs by setting, in natural order; runs whose config cannot be read are left out."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if run.config:
            values = tuple(run.texts.get(key, MISSING) for key in comparison.varying)
            groups.setdefault(values, []).append(run)
    return [
        Setting(dict(zip(comparison.varying, values, strict=True)), tuple(sorted(groups[values], key=_by_seed)))
        for values in sorted(groups, key=lambda values: [natural(value) for value in values])
    ]


def spread(runs: Sequence[Run], metric: Metric) -> Spread | None:
    """Compute mean and range over the runs in which the metric is defined; None if there is none."""
    values = [value for run in runs if (value := metric.of(run)) is not None]
    if not values:
        return None
    mean, least, most = as_texts((math.fsum(values) / len(values), min(values), max(values)), metric)
    return Spread(mean, least, most, len(values))


def as_texts(values: Sequence[float], metric: Metric) -> list[str]:
    """Format the metric's values in equal precision: three decimals, or one for nats from 100 on and for seconds."""
    large = metric.unit == "nats" and max(map(abs, values)) >= _LARGE
    decimals = 1 if large or metric.unit == "seconds" else 3
    return [f"{value:z.{decimals}f}" for value in values]


def columns(settings: Sequence[Setting]) -> dict[str, list[Spread | None]]:
    """Return a cell per setting by title, for every metric that any setting has; the wall time comes last."""
    table = {metric.title: [spread(setting.completed, metric) for setting in settings] for metric in METRICS}
    wall = [spread(setting.completed, WALL) for setting in settings]
    table[WALL.title] = [cell and cell._replace(n=1) for cell in wall]
    return {title: cells for title, cells in table.items() if any(cells)}


def count_title(settings: Sequence[Setting]) -> str:
    """Return ``seeds``, or ``runs`` if a setting has two runs of one seed."""
    once = all(len({as_text(run.config.get("seed")) for run in each.runs}) == len(each.runs) for each in settings)
    return "seeds" if once else "runs"


def are_words(cells: Sequence[str]) -> bool:
    """Return whether a column holds anything but numbers."""
    return any(cell[:1].isalpha() and cell != "null" for cell in cells)


def choices(values: Mapping[str, str]) -> str:
    """Format settings as on the command line."""
    return " ".join(f"{key}={value}" for key, value in values.items())


def _by_seed(run: Run) -> list[tuple[int, float, str]]:
    return natural(as_text(run.config.get("seed")))
