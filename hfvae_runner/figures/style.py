"""The style of all figures. Colours are Okabe and Ito's palette, which colour-blind readers can distinguish."""

from collections.abc import Sequence
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CONTINUOUS = "#0072B2"
DISCRETE = "#D55E00"
INK = "#222222"
MUTED = "#767676"
FAINT = "#C8C8C8"
SEQUENCE = (CONTINUOUS, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of lines that must be distinguishable, without the colour of discrete variables."""
DENSITY_MAP = "Blues"

styled = matplotlib.rc_context(
    {
        "font.size": 12,
        "text.color": INK,
        "axes.titlesize": 15,
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "#E6E6E6",
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "figure.constrained_layout.w_pad": 0.12,
        "figure.constrained_layout.h_pad": 0.12,
    }
)
"""Decorator of every function that draws a figure. It leaves matplotlib's global settings unchanged."""


NARROW = 0.4
"""Column width, in inches, below which columns have no space for numbers."""


def column_width(columns: int) -> float:
    """Return the width of each of a chart's columns, in inches: 0.62, or less if the chart would exceed 14."""
    return min(0.62, 14 / columns)


def name_columns(axes: Axes, names: Sequence[str]) -> None:
    """Write a name below each column, slanted, or vertical if the columns are narrow."""
    narrow = column_width(len(names)) < NARROW
    axes.set_xticks(
        range(len(names)), names, rotation=90 if narrow else 45, ha="right", rotation_mode="anchor",
        va="center" if narrow else "top", fontsize=9 if narrow else 12,
    )  # fmt: skip
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.tick_params(axis="x", length=0, pad=8)


def new_figure(
    width: float, height: float, layout: Literal["constrained", "compressed"] | None = "constrained"
) -> Figure:
    """Create an empty figure that needs no display and is not registered with pyplot.

    Args:
        width, height: in inches.
        layout: matplotlib's layout engine: "compressed" if axes have a fixed aspect, None if the figure places them
            itself.
    """
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure
