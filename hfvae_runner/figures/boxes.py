"""Box plots of metrics over the runs of each kind (Chen et al. 2018, Fig. 3)."""

from collections.abc import Mapping

import numpy as np
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hfvae_runner.figures import looks, style
from hfvae_runner.figures.looks import Floats, Key, Looks

_WIDTH, _CAP = 0.6, 0.12
_LONG = 28
"""Least number of characters of all names together for which the names are drawn vertically."""


@style.styled
def boxes(panels: Mapping[str, Floats], kinds: Key) -> Figure:
    """Draw a panel per metric, with a box per kind: median, quartiles, and whiskers.

    A whisker ends at the outermost run within 1.5 times the box's height. Every run is a dot near the box's middle
    line.

    Args:
        panels: axis title and values [R], NaN where a run has none.
        kinds: the kind of each run.
    """
    upright = sum(map(len, kinds.ranked)) > _LONG
    figure, grid = looks.panels(len(panels), height=4.2 if upright else 3.3, sharex=True)
    look = Looks(len(kinds.labels), kinds)
    of_kind = dict(looks.groups(np.array(kinds.labels)))
    for axes, (name, values) in zip(grid, panels.items(), strict=True):
        axes.grid(axis="y")
        for place, kind in enumerate(kinds.ranked):
            members = of_kind[kind][~np.isnan(values[of_kind[kind]])]
            if len(members):
                _box(axes, place, values[members], look.colors[members[0]])
        axes.set_title(name, fontsize=12, pad=8)
        names = [looks.literal(kind) for kind in kinds.ranked]
        axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
        axes.set_xlim(-0.6, len(names) - 0.4)
    return figure


def _box(axes: Axes, place: int, values: Floats, color: str) -> None:
    # Not axes.boxplot: it imports pyplot, which may need a display.
    (box,) = cbook.boxplot_stats(values)
    low, high, left = box["q1"], box["q3"], place - _WIDTH / 2
    axes.add_patch(Rectangle((left, low), _WIDTH, high - low, facecolor=color, edgecolor=color, alpha=0.25))
    axes.vlines([place, place], [box["whislo"], high], [low, box["whishi"]], color=color, linewidth=1.2)
    axes.hlines([box["whislo"], box["whishi"]], place - _CAP, place + _CAP, color=color, linewidth=1.2)
    axes.hlines(box["med"], left, left + _WIDTH, color=style.INK, linewidth=2)
    # Sorted by value and offset sideways, so that equal runs do not hide each other.
    offsets = np.resize([-0.12, 0.06, -0.04, 0.14], len(values))
    axes.plot(
        place + offsets, np.sort(values), "o", color=color, markersize=5, markeredgecolor="white", alpha=0.8, zorder=3
    )
