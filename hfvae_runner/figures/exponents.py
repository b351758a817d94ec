"""Histograms of the learned exponents of Lp-nested priors over many runs (ISA-VAE, Fig. 7)."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hfvae_runner.figures import style

Floats = NDArray[np.floating[Any]]

_LEAST_WIDTH = 0.2
"""Least width of the shared axis, so that equal runs are not spread over it."""


@style.styled
def learned_exponents(exponents: Floats, root: Floats) -> Figure:
    """Draw a histogram per rank of the subspaces' exponents, because runs number their subspaces in any order.

    Args:
        exponents: [R, K], of R runs; each row is sorted here, so that p1 ≤ p2 ≤ … ≤ pK.
        root: [R], the root's exponent p0: a line through all histograms if the runs share it, otherwise a histogram on
            top.
    """
    runs, ranks = exponents.shape
    shared = bool(np.all(root == root[0]))
    rows = {} if shared else {"$p_0$": root}
    rows |= {f"$p_{{{rank + 1}}}$": column for rank, column in enumerate(np.sort(exponents, axis=1).T)}
    figure = style.new_figure(7.4, 2.1 + max(0.75, 1.15 - 0.05 * ranks) * len(rows))
    grid = figure.subplots(len(rows), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    edges = _edges(np.append(exponents, root))
    for axes, (name, values) in zip(grid, rows.items(), strict=True):
        _histogram(axes, name, values, edges, style.DISCRETE if name == "$p_0$" else style.CONTINUOUS)
        if shared:
            axes.axvline(root[0], color=style.DISCRETE, linewidth=1.6, linestyle="--", zorder=3)
    top = grid[0]
    # Ticks at whole numbers of runs, and space above the highest bar.
    top.set_ylim(0, 1.1 * max(patch.get_height() for axes in grid for patch in axes.patches))
    top.yaxis.set_major_locator(MaxNLocator(nbins=2, steps=[1, 2, 5, 10], integer=True))
    top.set_title(f"Learned exponents of {runs} run{'' if runs == 1 else 's'}, smallest first")
    if shared:
        line = Line2D([], [], color=style.DISCRETE, linewidth=1.6, linestyle="--", label=f"root, $p_0$ = {root[0]:g}")
        figure.legend(handles=[line], loc="outside lower center", fontsize=11)
    grid[-1].set_xlabel("exponent")
    figure.supylabel("runs", fontsize=12)
    return figure


def _histogram(axes: Axes, name: str, values: Floats, edges: Floats, color: str) -> None:
    axes.grid(axis="y")
    axes.hist(values, edges.tolist(), color=color, edgecolor="white", linewidth=0.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.text(1.01, 0.5, name, fontsize=14, ha="left", va="center", transform=axes.transAxes)


def _edges(values: Floats) -> Floats:
    """Return the edges of bins that contain all values, with some space on both sides."""
    least, most = float(values.min()), float(values.max())
    bins = int(np.clip(2 * np.sqrt(len(values)), 10, 40))
    # A bin on each side remains empty, and neither extreme is on an edge.
    spare = max(1.5 * (most - least) / (bins - 3), (_LEAST_WIDTH - (most - least)) / 2)
    return np.linspace(least - spare, most + spare, bins + 1)
