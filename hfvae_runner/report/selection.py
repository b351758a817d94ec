"""Selects the runs that a page shows if there are too many."""

import math
from collections.abc import Iterator, Sequence

from hfvae_runner.report.metrics import ELBO, GAPS, Metric
from hfvae_runner.report.runs import Run
from hfvae_runner.report.table import Setting


def headline(settings: Sequence[Setting]) -> Metric:
    """Return the metric that ranks settings: the first mutual information gap that any run has, else the ELBO."""
    runs = [run for setting in settings for run in setting.completed]
    return next((gap for gap in GAPS if any(gap.of(run) is not None for run in runs)), ELBO)


def ranked(settings: Sequence[Setting]) -> list[Setting]:
    """Sort the settings by descending mean of ``headline``, those without a value last."""
    metric = headline(settings)
    return sorted(settings, key=lambda setting: -_mean(setting, metric))


def best_first(settings: Sequence[Setting]) -> Iterator[Run]:
    """Yield the completed runs: one of each setting in the order of ``ranked``, then a second of each, and so on."""
    completed = [setting.completed for setting in ranked(settings)]
    for turn in range(max(map(len, completed), default=0)):
        yield from (runs[turn] for runs in completed if turn < len(runs))


def _mean(setting: Setting, metric: Metric) -> float:
    values = [value for run in setting.completed if (value := metric.of(run)) is not None]
    return math.fsum(values) / len(values) if values else -math.inf
