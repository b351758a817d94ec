"""Originals and their reconstructions below them."""

from math import ceil

from matplotlib.figure import Figure

from hfvae_runner.figures import style, tiles
from hfvae_runner.figures.tiles import Images

COLUMNS = 10
TILE = 0.85
PAIR_GAP = 0.2


@style.styled
def reconstructions(originals: Images, reconstructions: Images, title: str | None = None) -> Figure:
    """Draw pairs of rows, ten images across: originals above, their reconstructions below.

    Args:
        originals, reconstructions: [n, C, H, W], C 1 or 3, values in 0..1, in the same order; n ≥ 1.
        title: of the figure; None for the standard one.

    Raises:
        ValueError: the two shapes differ.
    """
    if originals.shape != reconstructions.shape:
        raise ValueError(f"{originals.shape} originals cannot stand above {reconstructions.shape} reconstructions")
    row = tiles.aspect(originals)
    pairs = ceil(len(originals) / COLUMNS)
    height = pairs * 2 * row + (pairs - 1) * PAIR_GAP
    columns = min(len(originals), COLUMNS)
    figure, axes = tiles.board(columns, height, TILE, 1.35, title or "Originals and their reconstructions")
    for pair in range(pairs):
        top = pair * (2 * row + PAIR_GAP)
        for name, images, upper in (("original", originals, top), ("reconstruction", reconstructions, top + row)):
            axes.text(-0.1, upper + row / 2, name, ha="right", va="center", fontsize=11, color=style.MUTED)
            for column, image in enumerate(images[pair * COLUMNS : (pair + 1) * COLUMNS]):
                tiles.place(axes, image, column, upper)
    return figure
