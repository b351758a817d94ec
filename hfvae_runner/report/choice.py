"""Which run of a setting each criterion chooses, and what the choice costs.

A criterion is a number that needs no labels. What it is worth is seen by a metric that needs them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hfvae_runner.report.metrics import CRITERIA, QUALITIES, Metric
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_text
from hfvae_runner.report.table import Setting, as_texts, choices

_FEWEST = 3
"""The least number of completed runs of a setting."""
HEADS = ("setting", "criterion", "seed", "metric", "chosen", "mean", "least", "most", "runs")


class Choice(NamedTuple):
    """One criterion's choice in one setting.

    Attributes:
        setting: as the command line spells it; empty if there is one setting.
        criterion: the criterion's title.
        seed: of the chosen run.
        metric: the metric's title.
        chosen: the metric of the chosen run.
        mean, least, most: of the metric over the setting's runs.
        runs: how many these are.
    """

    setting: str
    criterion: str
    seed: str
    metric: str
    chosen: str
    mean: str
    least: str
    most: str
    runs: str


def chosen(settings: Sequence[Setting]) -> Iterator[Choice]:
    """Yield the choice of each criterion that at least three runs of a setting have, by each metric that they have.

    The order is that of the settings. Nothing is yielded unless some run has UDR; the other tables show the ELBO.
    """
    if not any(CRITERIA[-1].of(run) is not None for setting in settings for run in setting.completed):
        return
    for setting in settings:
        for metric in QUALITIES:
            for criterion in (*CRITERIA, metric):
                yield from _choice(setting, criterion, metric)


def _choice(setting: Setting, criterion: Metric, metric: Metric) -> Iterator[Choice]:
    known: list[tuple[float, float, Run]] = []
    for run in setting.completed:
        by, quality = criterion.of(run), metric.of(run)
        if by is not None and quality is not None:
            known.append((by, quality, run))
    if len(known) < _FEWEST:
        return
    _, quality, best = max(known, key=lambda each: each[0])
    qualities = [each[1] for each in known]
    summary = [quality, sum(qualities) / len(qualities), min(qualities), max(qualities)]
    value, mean, least, most = as_texts(summary, metric)
    name = f"{metric.title} itself" if criterion is metric else criterion.title
    seed = as_text(best.config.get("seed"))
    where, runs = choices(setting.values), str(len(known))
    yield Choice(where, name, seed, metric.title, value, mean, least, most, runs)
