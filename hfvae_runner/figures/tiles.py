"""Small images on one pair of axes, whose y increases downwards and whose unit is an image's width."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import style

Images = NDArray[np.floating[Any]]

GAP = 0.06
"""Blank share of a tile's width between it and its neighbour."""


def aspect(images: Images) -> float:
    """Return the height of a tile in units of its width, from images [..., C, H, W]."""
    return float(images.shape[-2] / images.shape[-1])


def board(columns: int, height: float, tile: float, left: float, title: str) -> tuple[Figure, Axes]:
    """Return a figure with bare axes for `columns` tiles across and `height` units down.

    Args:
        columns: tiles across.
        height: of the axes, in tile widths.
        tile: inches per tile.
        left: inches reserved for the texts beside the rows.
        title: of the figure.
    """
    right, top, bottom = 0.2, 0.65, 0.15
    # The title has a fixed font size, so the figure is at least as wide as six tiles.
    width = left + max(columns, 6) * tile + right
    total = top + height * tile + bottom
    figure = style.new_figure(width, total, layout=None)
    box = (left / width, bottom / total, columns * tile / width, height * tile / total)
    axes = figure.add_axes(box, xlim=(0, columns), ylim=(height, 0))
    axes.set_axis_off()
    figure.text(0.2 / width, 1 - 0.2 / total, title, fontsize=15, va="top")
    return figure, axes


def place(axes: Axes, image: Images, column: int, top: float) -> None:
    """Draw image [C, H, W] (C is 1 or 3, values in 0..1, clipped) in a column, with its upper edge at `top`."""
    pixels = np.clip(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1), 0, 1)
    left, right = column + GAP / 2, column + 1 - GAP / 2
    upper, lower = top + GAP / 2, top + aspect(image) - GAP / 2
    axes.imshow(
        pixels, extent=(left, right, lower, upper), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto"
    )
