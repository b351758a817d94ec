"""The metrics under the distribution of ``dataset.sampling`` beside those of the test split as it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hfvae_runner.report.metrics import METRICS, Metric
from hfvae_runner.report.runs import Run
from hfvae_runner.report.table import Setting, as_texts, choices

HEADS = ("setting", "metric", "as it is", "sampled", "runs")
_SECTION = "test_sampled"


class Pair(NamedTuple):
    """One metric of one setting under both distributions.

    Attributes:
        setting: as the command line spells it; empty if there is one setting.
        metric: the metric's title.
        plain, sampled: the mean over the runs, and [least, most] of several.
        runs: how many runs have both.
    """

    setting: str
    metric: str
    plain: str
    sampled: str
    runs: str


def pairs(settings: Sequence[Setting]) -> Iterator[Pair]:
    """Yield each metric of each setting whose runs have it under both distributions, in the order of the settings."""
    for setting in settings:
        both = [(run, _sampled(run)) for run in setting.completed if run.section(_SECTION)]
        for metric in METRICS if both else ():
            values = [(metric.of(run), metric.of(sampled)) for run, sampled in both]
            known = [(plain, sampled) for plain, sampled in values if plain is not None and sampled is not None]
            if known:
                plain, sampled = (_summary(list(each), metric) for each in zip(*known, strict=True))
                yield Pair(choices(setting.values), metric.title, plain, sampled, str(len(known)))


def _sampled(run: Run) -> Run:
    """Return the run with the sampled test split in the place of the test split."""
    return replace(run, metrics={**run.metrics, "test": run.section(_SECTION)})


def _summary(values: Sequence[float], metric: Metric) -> str:
    mean, least, most = as_texts([sum(values) / len(values), min(values), max(values)], metric)
    return mean if len(values) == 1 else f"{mean} [{least}, {most}]"
