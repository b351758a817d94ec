"""Figures of several runs below each other, each under a heading."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from hfvae_runner.figures import style
from hfvae_runner.figures.picture_grid import Picture

_WIDTH = 10.0
_TITLE, _HEADING, _MARGIN = 0.5, 0.4, 0.2
_MISSING = 0.6
"""Height in the place of a missing picture, in inches."""
_LEAST_PIXELS = 50
"""Of a picture, in an inch of the figure's width."""


@style.styled
def picture_column(title: str, shown: Sequence[tuple[str, Picture | str]]) -> Figure:
    """Draw pictures below each other.

    Args:
        title: of the figure.
        shown: for each picture its heading and its pixels [H, W, 3] of bytes, or a word that gives the reason for a
            missing one. A picture is as wide as the figure, or narrower if it has few pixels.
    """
    sizes = [
        (_WIDTH, _MISSING) if isinstance(picture, str) else _size(picture.shape[1], picture.shape[0])
        for _, picture in shown
    ]
    height = _TITLE + sum(_HEADING + own + _MARGIN for _, own in sizes)
    figure = style.new_figure(_WIDTH + 2 * _MARGIN, height, layout=None)
    whole_width = _WIDTH + 2 * _MARGIN

    def write(text: str, top: float, size: int, color: str = style.INK) -> None:
        # Titles and labels come from files, in which a dollar sign does not start a formula.
        place = (_MARGIN / whole_width, 1 - top / height)
        figure.text(*place, text, fontsize=size, va="top", color=color, parse_math=False)

    write(title, 0.1, 15)
    top = _TITLE
    for (heading, picture), (across, down) in zip(shown, sizes, strict=True):
        write(heading, top + 0.08, 12)
        top += _HEADING
        if isinstance(picture, str):
            write(picture, top, 11, style.MUTED)
        else:
            box = (_MARGIN / whole_width, 1 - (top + down) / height, across / whole_width, down / height)
            axes = figure.add_axes(box)
            axes.set_axis_off()
            axes.imshow(picture, aspect="auto", interpolation="antialiased")
        top += down + _MARGIN
    return figure


def _size(width: int, height: int) -> tuple[float, float]:
    """Return the size in inches of a picture of so many pixels."""
    across = min(_WIDTH, width / _LEAST_PIXELS)
    return across, across * height / width
