"""Latent traversals, a row per factor (JointVAE, Fig. 8)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hfvae_runner.figures import style, tiles
from hfvae_runner.figures.tiles import Images

TILE = 0.72
CAPTION = 0.42
"""Height of a line of numbers below a row, in tiles."""


@style.styled
def traversals(
    images: Sequence[Images],
    names: Sequence[str],
    kl: Sequence[float] | None,
    information: Sequence[float],
    values: Sequence[float],
    discrete: Sequence[bool],
) -> Figure:
    """Draw images decoded while one factor at a time changes, the most informative factor on top.

    The latent values are printed once, below the last continuous row.

    Args:
        images: per continuous factor [T, C, H, W], decoded at the T latent `values`, and per discrete factor
            [K, C, H, W], decoded at each category; values in 0..1.
        names: of the factors.
        kl: per factor, in nats, printed at its row; None if the prior has no marginals of factors.
        information: per factor, in nats, printed at its row.
        values: the T latent values.
        discrete: whether each factor is discrete.
    """
    order = sorted(range(len(names)), key=lambda factor: -information[factor])
    last_continuous = max((position for position, factor in enumerate(order) if not discrete[factor]), default=None)
    row = tiles.aspect(images[0])
    captioned = [discrete[factor] or position == last_continuous for position, factor in enumerate(order)]
    tops = np.cumsum([0.0] + [row + CAPTION * has_caption for has_caption in captioned])
    title = "Latent traversals, most informative factor first"
    figure, axes = tiles.board(max(len(strip) for strip in images), tops[-1], TILE, 2.6, title)
    for position, (factor, top) in enumerate(zip(order, tops, strict=False)):
        numbers = f"I(x; z) {information[factor]:z.2f}"
        numbers += f"   KL {kl[factor]:z.2f} nats" if kl is not None else " nats"
        _describe(axes, names[factor], numbers, discrete[factor], top + row / 2)
        for column, image in enumerate(images[factor]):
            tiles.place(axes, image, column, top)
        if discrete[factor]:
            _caption(axes, "category", [str(category) for category in range(len(images[factor]))], top + row)
        elif position == last_continuous:
            _caption(axes, "latent value", [_number(value) for value in values], top + row)
    return figure


def _describe(axes: Axes, name: str, numbers: str, discrete: bool, middle: float) -> None:
    color = style.DISCRETE if discrete else style.INK
    axes.text(-0.15, middle - 0.03, name, ha="right", va="bottom", fontsize=12, weight="bold", color=color)
    axes.text(-0.15, middle + 0.07, numbers, ha="right", va="top", fontsize=10, color=style.MUTED)


def _number(value: float) -> str:
    """Format with two decimals at most, a true minus sign, and no negative zero."""
    return f"{round(value, 2):zg}".replace("-", "\N{MINUS SIGN}")


def _caption(axes: Axes, meaning: str, ticks: Sequence[str], top: float) -> None:
    for x, text in [(-0.15, meaning), *((column + 0.5, tick) for column, tick in enumerate(ticks))]:
        alignment = "right" if x < 0 else "center"
        axes.text(x, top + 0.02, text, ha=alignment, va="top", fontsize=10, color=style.MUTED)
