"""Metrics of many runs against a setting, with the spread over the seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hfvae_runner.figures import looks, style
from hfvae_runner.figures.looks import Floats, Key, Looks, Shape

_MANY_TICKS = 9
_WIDE_RANGE = 8
"""Least ratio of the largest to the smallest positive value for which an axis is logarithmic."""
_TINY = 1e-100
"""Least value on a logarithmic axis; below it, there is no space for a margin."""


@style.styled
def against(
    title: str,
    x: Floats,
    panels: Mapping[str, Floats],
    lines: Sequence[int],
    color: Key | None = None,
    shape: Key | None = None,
    ticks: Mapping[float, str] | None = None,
) -> Figure:
    """Draw a panel per metric, with a dot per run and lines through the means at each x.

    A band around each line shows ± one standard deviation.

    Args:
        title: the name of x.
        x: [R].
        panels: axis title and values [R], NaN where a run has none.
        lines: [R], the number of the line that each run belongs to.
        color, shape: what distinguishes the lines; at most four shapes.
        ticks: labels for values of x.
    """
    figure, grid = looks.panels(len(panels), sharex=True)
    look = Looks(len(x), color, shape)
    for axes, (name, values) in zip(grid, panels.items(), strict=True):
        axes.grid(axis="y")
        present = np.flatnonzero(~np.isnan(values))
        for _, members in looks.groups(np.asarray(lines)[present]):
            runs = present[members]
            _line(axes, x[runs], values[runs], look.colors[runs[0]], look.shapes[runs[0]])
        axes.set_title(name, fontsize=12, pad=8)
        _place_ticks(axes, x, ticks or {})
    figure.supxlabel(looks.literal(title), fontsize=13)
    look.explain(figure, lines=True)
    return figure


def _line(axes: Axes, x: Floats, values: Floats, color: str, shape: Shape) -> None:
    marker, dash = shape
    places = dict(looks.groups(x))
    at = np.array(list(places))
    means = np.array([values[members].mean() for members in places.values()])
    spread = np.array([looks.deviation(values[members]) for members in places.values()])
    if spread.any():
        axes.fill_between(at, means - spread, means + spread, color=color, alpha=0.16, linewidth=0)
    axes.plot(at, means, dash, color=color, linewidth=2)
    axes.plot(x, values, marker, color=color, markersize=6, markeredgecolor="white", alpha=0.8)


def _place_ticks(axes: Axes, x: Floats, ticks: Mapping[float, str]) -> None:
    at = np.unique(x)
    positive = at[at > 0]
    if at[0] >= 0 and len(positive) > 0 and positive[0] > _TINY and at[-1] >= _WIDE_RANGE * positive[0]:
        if at[0] == 0:  # linear up to the smallest positive value, since 0 has no logarithm
            axes.set_xscale("symlog", linthresh=positive[0])
        else:
            axes.set_xscale("log")
    axes.margins(x=0.08)
    if len(at) <= _MANY_TICKS:
        axes.set_xticks(at, [looks.literal(ticks.get(float(each), f"{each:g}")) for each in at])
        axes.set_xticks([], minor=True)
