"""Two metrics of many runs against each other (Chen et al. 2018, Fig. 2 and 4; Stühmer et al. 2019, Fig. 5)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from hfvae_runner.figures import looks, style
from hfvae_runner.figures.looks import Floats, Key, Looks

_GAP, _RISE = 0.04, 0.06
"""Distances between two numbers of the front, and from a number to its dot, as shares of the axes."""


class Axis(NamedTuple):
    """A metric: its title with the unit, values [R], NaN where a run has none, and ``better``: higher, lower or ""."""

    title: str
    values: Floats
    better: str = ""


class Panel(NamedTuple):
    """The two axes of a panel, and the settings on its front in order; an empty front is not drawn."""

    x: Axis
    y: Axis
    front: Sequence[int] = ()


@style.styled
def trade_off(
    title: str,
    panels: Sequence[Panel],
    settings: Sequence[int],
    color: Key | None = None,
    shape: Key | None = None,
    size: Key | None = None,
) -> Figure:
    """Draw a small dot per run, a large dot with error bars at each setting's means, and the front.

    The error bars are ± one standard deviation. The front's settings are numbered from 1, from left to right. A line
    joins them along the border of the region that they dominate.

    Args:
        title: of the figure.
        panels: side by side.
        settings: [R], the number of each run's setting.
        color, shape, size: what distinguishes the settings.
    """
    figure = style.new_figure(2.2 + 5.2 * len(panels), 5.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    look = Looks(len(settings), color, shape, size)
    for axes, panel in zip(grid, panels, strict=True):
        axes.grid()
        axes.set(xlabel=_described(panel.x), ylabel=_described(panel.y))
        axes.margins(0.1)
        _dots(axes, panel, np.asarray(settings), look)
        if panel.front:
            _front(axes, panel, np.asarray(settings))
    figure.suptitle(title, fontsize=15, x=0.01, ha="left")
    look.explain(figure)
    return figure


def means(values: Floats, settings: Sequence[int]) -> dict[int, float]:
    """Return the mean of ``values`` [R] for each setting of ``settings`` [R], over the runs that have a value."""
    present = ~np.isnan(values)
    return {
        each: float(values[present][members].mean()) for each, members in looks.groups(np.asarray(settings)[present])
    }


def front(x: Axis, y: Axis, settings: Sequence[int]) -> list[int]:
    """Return the settings that no other setting beats in both means, by ascending x.

    Both axes must define ``better``.
    """
    signs = [1 if axis.better == "higher" else -1 for axis in (x, y)]
    both = ~np.isnan(x.values) & ~np.isnan(y.values)
    numbers = np.asarray(settings)[both].tolist()
    across, up = means(x.values[both], numbers), means(y.values[both], numbers)
    places = {each: (signs[0] * across[each], signs[1] * up[each]) for each in across}
    kept: list[int] = []
    best = (-math.inf, -math.inf)
    # In order from the best x, a setting is on the front if its y is better than all before, or it equals the last one.
    for each in sorted(places, key=lambda each: places[each], reverse=True):
        if places[each][1] > best[1] or places[each] == best:
            kept.append(each)
            best = places[each]
    return sorted(kept, key=lambda each: (across[each], up[each]))


def _described(axis: Axis) -> str:
    return f"{axis.title} ({axis.better} is better)" if axis.better else axis.title


def _dots(axes: Axes, panel: Panel, settings: Floats, look: Looks) -> None:
    both = np.flatnonzero(~np.isnan(panel.x.values) & ~np.isnan(panel.y.values))
    # One artist for all runs that look alike, because a search may have thousands of settings.
    alike: dict[tuple[str, str, float], list[NDArray[np.intp]]] = {}
    for _, members in looks.groups(settings[both]):
        runs = both[members]
        own = (look.colors[runs[0]], look.shapes[runs[0]][0], look.sizes[runs[0]])
        alike.setdefault(own, []).append(runs)
    for (color, marker, size), found in alike.items():
        x, y = ([axis.values[runs] for runs in found] for axis in (panel.x, panel.y))
        several = [index for index, runs in enumerate(found) if len(runs) > 1]
        across, up = (np.array([values.mean() for values in each]) for each in (x, y))
        if several:
            small = [np.concatenate([values[index] for index in several]) for values in (x, y)]
            axes.plot(*small, marker, color=color, markersize=4, alpha=0.4, markeredgewidth=0)
            right, above = ([looks.deviation(values[index]) for index in several] for values in (x, y))
            axes.errorbar(
                across[several], up[several], above, right,
                color=color, elinewidth=1.2, alpha=0.8, zorder=3, linestyle="",
            )  # fmt: skip
        axes.plot(across, up, marker, color=color, markersize=size, markeredgecolor="white", zorder=4)


def _front(axes: Axes, panel: Panel, settings: Floats) -> None:
    both = ~np.isnan(panel.x.values) & ~np.isnan(panel.y.values)
    across, up = (means(axis.values[both], settings[both].tolist()) for axis in (panel.x, panel.y))
    x, y = [across[each] for each in panel.front], [up[each] for each in panel.front]
    # At every x worse than a setting's, the setting's y can be reached.
    steps = "steps-pre" if panel.x.better == "higher" else "steps-post"
    axes.plot(x, y, color=style.INK, linewidth=1.4, linestyle="--", drawstyle=steps, zorder=3.5)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    labels = _apart(np.array(x), _GAP * (right - left))
    # On the side beyond the front, which has no dots or lines.
    rise = (_RISE if panel.y.better == "higher" else -_RISE) * (top - bottom)
    for number, (at, beside, height) in enumerate(zip(x, labels, y, strict=True), start=1):
        axes.annotate(
            str(number), (at, height), (float(beside), height + rise), ha="center", va="center", fontsize=11,
            weight="bold", zorder=5, arrowprops={"arrowstyle": "-", "color": style.INK, "linewidth": 0.8},
        )  # fmt: skip


def _apart(ascending: Floats, gap: float) -> Floats:
    """Return the places at least ``gap`` apart that are nearest to the given ones, in least squares."""
    offsets = gap * np.arange(len(ascending))
    return np.asarray(isotonic_regression(ascending - offsets).x + offsets)
