"""Heat maps of metrics over a grid of two settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from hfvae_runner.figures import looks, style
from hfvae_runner.figures.looks import Floats
from hfvae_runner.figures.picture_grid import Side

DONE, NOT_DONE, NOT_TRIED = "completed", "not completed", "not tried"
"""The states of a place in the grid."""
_UNDEFINED = "no value"
_LOOKS: Mapping[str, Mapping[str, Any]] = {
    NOT_DONE: {"facecolor": "white", "edgecolor": style.DISCRETE, "hatch": "xxx"},
    _UNDEFINED: {"facecolor": "white", "edgecolor": style.MUTED, "hatch": "..."},
    NOT_TRIED: {"facecolor": "#EEEEEE", "edgecolor": style.FAINT},
}
_MAP, _SIGNED_MAP = "viridis", "RdBu"
_BRIGHT = 0.6
_PALE = 0.6
"""Correlations of up to this size have a pale colour."""
_MOST_NUMBERS = 6
"""Most columns for which each place shows its number."""
_MOST_CORRELATIONS = 16
_MOST_LETTERS = 30
"""Most letters of the columns' names, all together, that have room in one line."""


@style.styled
def heat_maps(
    title: str,
    rows: Side,
    columns: Side,
    panels: Mapping[str, Floats],
    states: Sequence[Sequence[str]],
    *,
    correlations: bool = False,
) -> Figure:
    """Draw a panel per metric, with a colour per place, and a pattern for places without a number.

    The first row is at the bottom, as on a numeric axis.

    Args:
        title: of the figure.
        rows, columns: the two settings and their values.
        panels: title and values [rows, columns], NaN where there is none.
        states: [rows][columns], the state of each place.
        correlations: whether the values are from −1 to 1, so that 0 has the colour between the two ends.
    """
    ends: dict[str, Any] = {"cmap": _SIGNED_MAP, "vmin": -1, "vmax": 1} if correlations else {"cmap": _MAP}
    names = [looks.literal(value) for value in columns.values]
    turned: dict[str, Any] = {"rotation": 35, "ha": "right"} if len("".join(names)) > _MOST_LETTERS else {}
    height = 1.3 + min(0.55 * len(rows.values), 4)
    # Room for the rows' names and for a number in each place.
    width = 2.8 + 0.55 * len(names) if correlations else 3.7
    figure, grid = looks.panels(len(panels), height=height, width=width)
    absent: set[str] = set()
    for axes, (name, values) in zip(grid, panels.items(), strict=True):
        picture = axes.imshow(np.ma.masked_invalid(values), origin="lower", aspect="auto", **ends)
        figure.colorbar(picture, ax=axes, fraction=0.05, aspect=30, pad=0.03).outline.set_visible(False)
        absent |= _mark(axes, values, states)
        if len(columns.values) <= (_MOST_CORRELATIONS if correlations else _MOST_NUMBERS):
            _numbers(axes, values, correlations)
        axes.set_title(name, fontsize=12, pad=8)
        axes.set_xticks(range(len(names)), names, **turned)
        axes.set_yticks(range(len(rows.values)), [looks.literal(value) for value in rows.values])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.suptitle(looks.literal(title), fontsize=15, x=0.01, ha="left")
    figure.supxlabel(looks.literal(columns.title), fontsize=13)
    figure.supylabel(looks.literal(rows.title), fontsize=13)
    entries = [Patch(**look, label=state) for state, look in _LOOKS.items() if state in absent]
    if entries:
        figure.legend(handles=entries, loc="outside upper right", ncols=len(entries), fontsize=11)
    return figure


def _mark(axes: Axes, values: Floats, states: Sequence[Sequence[str]]) -> set[str]:
    """Draw the places without a number, and return the states that occur."""
    used = set()
    for row, column in np.argwhere(np.isnan(values)).tolist():
        state = _UNDEFINED if states[row][column] == DONE else states[row][column]
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, linewidth=0, **_LOOKS[state]))
        used.add(state)
    return used


def _numbers(axes: Axes, values: NDArray[np.floating[Any]], correlations: bool) -> None:
    if np.isnan(values).all():
        return
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    decimals = 1 if max(abs(least), abs(most)) >= 100 else 2 if max(abs(least), abs(most)) >= 1 else 3
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            bright = (value - least) / (most - least) > _BRIGHT if most > least else False
            bright = abs(value) <= _PALE if correlations else bright
            text = f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=style.INK if bright else "white")
