"""Which figures a set of runs allows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.figures import sweep
from hfvae_runner.report.runs import Run
from hfvae_runner.report.settings import as_number, natural, settings_of
from hfvae_runner.report.table import METRICS, Setting
from hfvae_runner.schema import GROUPS

Dot = tuple[Run, Mapping[str, str]]
"""A completed run, and its varying settings as text."""
AGAINST, SCATTER = "against_", "information_and_correlation"


@dataclass(frozen=True)
class Plot:
    """A figure, the file name it goes by (without .png), what it shows in a sentence, and the settings on its axis."""

    name: str
    caption: str
    figure: Figure
    shown: tuple[str, ...] = ()


def plots(settings: Sequence[Setting]) -> Iterator[Plot]:
    """The metrics against each numeric setting that varies while the choices do not, then information and correlation.

    Numbers that only ever move together share an axis. All other settings tell lines apart; a line needs two places.
    """
    dots = [(run, setting.values) for setting in settings for run in setting.completed]
    keys = list(settings[0].values) if settings else []
    shown: set[str] = set()
    for key in keys:
        plot = None if key in shown else _against(key, dots)
        if plot is not None:
            shown.update(plot.shown)
            yield plot
    pairs = [dot for dot in dots if _MI.of(dot[0]) is not None and _TC.of(dot[0]) is not None]
    if len(pairs) > 1:
        information, correlation = (np.array([metric.of(run) for run, _ in pairs], float) for metric in (_MI, _TC))
        figure = sweep.information_and_correlation(information, correlation, *_keys(keys, pairs))
        caption = "Mutual information against total correlation, a dot per run; the lower right is best."
        yield Plot(SCATTER, caption, figure)


_BY_TITLE = {metric.title: metric for metric in METRICS}
_MI, _TC = _BY_TITLE["mutual information"], _BY_TITLE["total correlation"]


def _against(key: str, dots: Sequence[Dot]) -> Plot | None:
    numeric = [dot for dot in dots if _place(dot, key) is not None]
    others = [other for other in (numeric[0][1] if numeric else ()) if other != key]
    tied = [other for other in others if other not in GROUPS and _both_fix(other, key, numeric)]
    apart = [other for other in others if other not in tied]
    lines: dict[tuple[str, ...], list[Dot]] = {}
    for dot in numeric:
        lines.setdefault(tuple(dot[1][other] for other in apart), []).append(dot)
    moving = [line for line in lines.values() if len({_place(dot, key) for dot in line}) > 1]
    if not moving:
        return None
    chosen = [dot for line in moving for dot in line]
    x = np.array([_place(dot, key) for dot in chosen], float)
    panels = {}
    for metric in METRICS:
        values = np.array([metric.of(run) for run, _ in chosen], float)
        if not np.isnan(values).all():
            panels[metric.title if metric.unit == "share" else f"{metric.title} / {metric.unit}"] = values
    title = f"{key}, and {', '.join(tied)} with it" if tied else key
    figure = sweep.against(
        title, x, panels, [number for number, line in enumerate(moving) for _ in line], *_keys(apart, chosen),
        ticks={float(number): values[key] for number, (_, values) in zip(x, chosen, strict=True)},
    )  # fmt: skip
    caption = f"Metrics of the test split against {title}: a dot per run, lines through the means."
    return Plot(re.sub(r"[^\w.-]", "_", f"{AGAINST}{key}"), caption, figure, (key, *tied))


def _place(dot: Dot, key: str) -> float | None:
    return as_number(settings_of(dot[0].config).get(key))


def _both_fix(other: str, key: str, dots: Sequence[Dot]) -> bool:
    """Whether the two settings vary, and only together."""
    pairs = {(values[key], values[other]) for _, values in dots}
    return len(pairs) > 1 and len(pairs) == len({value for value, _ in pairs}) == len({value for _, value in pairs})


def _keys(keys: Sequence[str], dots: Sequence[Dot]) -> tuple[sweep.Key | None, sweep.Key | None]:
    """What colour and shape stand for: the first two settings that tell the dots apart, while there are shapes."""
    color = shape = None
    for key in keys:
        labels = [values[key] for _, values in dots]
        ranked = sorted(set(labels), key=natural)
        if len(ranked) == 1:
            continue
        if color is None:
            color = sweep.Key(key, labels, ranked)
        # A setting that follows from the one in colour would say the same twice.
        elif len(set(zip(color.labels, labels, strict=True))) > len(color.ranked):
            shape = sweep.Key(key, labels, ranked) if len(ranked) <= len(sweep.SHAPES) else None
            break
    return color, shape
