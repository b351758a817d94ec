"""Which figures a set of runs allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.figures import sweep
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number, natural, settings_of
from hfvae_runner.report.table import METRICS, Setting
from hfvae_runner.schema import GROUPS

AGAINST, SCATTER = "against_", "information_and_correlation"


@dataclass(frozen=True)
class Plot:
    """A figure, the file name it goes by (without .png), and what it shows in a sentence."""

    name: str
    caption: str
    figure: Figure


def plots(settings: Sequence[Setting]) -> Iterator[Plot]:
    """The metrics against each numeric setting that varies while the choices do not, then information and correlation.

    Settings that always move together with the one on the axis share it; all others tell lines apart.
    """
    dots = [(run, setting.values) for setting in settings for run in setting.completed]
    for key in settings[0].values if settings else ():
        plot = _against(key, dots)
        if plot is not None:
            yield plot
    pairs = [(run, values) for run, values in dots if all(metric.of(run) is not None for metric in (_MI, _TC))]
    if len(pairs) > 1:
        texts = [values for _, values in pairs]
        keys = [key for key in texts[0] if len({values[key] for values in texts}) > 1]
        information, correlation = (np.array([metric.of(run) for run, _ in pairs], float) for metric in (_MI, _TC))
        figure = sweep.information_and_correlation(information, correlation, *_keys(keys, texts))
        caption = "Mutual information against total correlation, a dot per run; the lower right is best."
        yield Plot(SCATTER, caption, figure)


_BY_TITLE = {metric.title: metric for metric in METRICS}
_MI, _TC = _BY_TITLE["mutual information"], _BY_TITLE["total correlation"]


def _against(key: str, dots: Sequence[tuple[Run, Mapping[str, str]]]) -> Plot | None:
    numbers = [as_number(settings_of(run.config).get(key)) for run, _ in dots]
    x = [number for number in numbers if number is not None]
    chosen = [dot for dot, number in zip(dots, numbers, strict=True) if number is not None]
    texts = [values for _, values in chosen]
    others = [other for other in (texts[0] if texts else ()) if other != key]
    tied = [other for other in others if other not in GROUPS and _goes_with(other, key, texts)]
    apart = [other for other in others if other not in tied and len({values[other] for values in texts}) > 1]
    combinations = [tuple(values[other] for other in apart) for values in texts]
    if not _any_line(combinations, x):
        return None
    known = list(dict.fromkeys(combinations))
    panels = {}
    for metric in METRICS:
        values = np.array([metric.of(run) for run, _ in chosen], float)
        if not np.isnan(values).all():
            panels[metric.title if metric.unit == "share" else f"{metric.title} / {metric.unit}"] = values
    title = key + (f", and {', '.join(tied)} with it" if tied else "")
    figure = sweep.against(
        title, np.array(x), panels, [known.index(each) for each in combinations], *_keys(apart, texts),
        ticks={number: values[key] for number, values in zip(x, texts, strict=True)},
    )  # fmt: skip
    caption = f"Metrics of the test split against {title}: a dot per run, lines through the means."
    return Plot(re.sub(r"[^\w.-]", "_", f"{AGAINST}{key}"), caption, figure)


def _any_line(combinations: Sequence[tuple[str, ...]], x: Sequence[float]) -> bool:
    """Whether some runs that are alike in all else differ in x."""
    pairs = sorted(zip(combinations, x, strict=True))
    return any(len({number for _, number in line}) > 1 for _, line in groupby(pairs, key=lambda pair: pair[0]))


def _goes_with(other: str, key: str, texts: Sequence[Mapping[str, str]]) -> bool:
    """Whether the other setting varies, and the key's value always fixes it."""
    pairs = {(values[key], values[other]) for values in texts}
    return len({value for _, value in pairs}) > 1 and len({value for value, _ in pairs}) == len(pairs)


def _keys(keys: Sequence[str], texts: Sequence[Mapping[str, str]]) -> tuple[sweep.Key | None, sweep.Key | None]:
    """What colour and shape stand for: the first two settings, the second where there are shapes enough."""
    labels = {key: [values[key] for values in texts] for key in keys[:2]}
    made = [sweep.Key(key, each, sorted(set(each), key=natural)) for key, each in labels.items()]
    color, shape = [*made, None, None][:2]
    if shape is not None and len(shape.ranked) > len(sweep.SHAPES):
        shape = None
    return color, shape
