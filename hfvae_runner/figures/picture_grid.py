"""Pictures of many runs in one table, with a setting along each side (Mathieu et al. 2019, Fig. 3)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hfvae_runner.figures import style

Picture = NDArray[np.uint8]

_WIDTH = 15.0
_TILE = 2.3
_GAP = 0.06
"""Gap between pictures, as a share of their width."""


class Side(NamedTuple):
    """A setting and its values along one side, as text."""

    title: str
    values: Sequence[str]


@style.styled
def picture_grid(title: str, rows: Side, columns: Side, cells: Sequence[Sequence[Picture | str]]) -> Figure:
    """Draw one picture per combination of a row's and a column's value.

    Args:
        title: of the figure.
        rows, columns: the two settings and their values.
        cells: [rows][columns], square pictures [H, H, 3] of bytes, or a word that gives the reason for a missing one.
    """
    across, down = len(columns.values), len(rows.values)
    tile = min(_TILE, _WIDTH / across)
    left, right, top, bottom = 0.7, 0.2, 1.0, 0.15
    # The title has a fixed font size, so the figure is at least as wide as the title.
    width = max(left + across * tile + right, 0.13 * len(title) + 0.4)
    height = top + down * tile + bottom
    figure = style.new_figure(width, height, layout=None)
    box = (left / width, bottom / height, across * tile / width, down * tile / height)
    axes = figure.add_axes(box, xlim=(0, across), ylim=(down, 0))
    axes.set_axis_off()
    # Settings come from files, in which a dollar sign does not start a formula.
    figure.text(0.2 / width, 1 - 0.2 / height, title, fontsize=15, va="top", parse_math=False)
    for c, value in enumerate(columns.values):
        name = f"{columns.title} = {value}"
        axes.text(c + 0.5, -0.06 / tile, name, ha="center", va="bottom", parse_math=False)
    for r, value in enumerate(rows.values):
        name = f"{rows.title} = {value}"
        axes.text(-0.06 / tile, r + 0.5, name, rotation=90, ha="right", va="center", parse_math=False)
        for c, cell in enumerate(cells[r]):
            _place(axes, cell, c, r)
    return figure


def _place(axes: Axes, cell: Picture | str, column: int, row: int) -> None:
    if isinstance(cell, str):
        axes.text(column + 0.5, row + 0.5, cell, ha="center", va="center", fontsize=11, color=style.MUTED)
    else:
        sides = (column + _GAP / 2, column + 1 - _GAP / 2, row + 1 - _GAP / 2, row + _GAP / 2)
        axes.imshow(cell, extent=sides, interpolation="antialiased", aspect="auto")
    corner = (column + _GAP / 2, row + _GAP / 2)
    axes.add_patch(Rectangle(corner, 1 - _GAP, 1 - _GAP, fill=False, edgecolor=style.FAINT, linewidth=0.8))
