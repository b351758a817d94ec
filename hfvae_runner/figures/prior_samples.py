"""Decoded samples of the prior."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import style, tiles
from hfvae_runner.figures.tiles import Images

TILE = 0.72


@style.styled
def prior_images(images: Images, given: str | None = None) -> Figure:
    """Draw a grid of decoded samples.

    Args:
        images: [R, M, C, H, W], C 1 or 3, values in 0..1.
        given: the discrete variable that is fixed to its category r in row r, with the other latents drawn from the
            prior (JointVAE, Fig. 4); None if all latents are drawn.
    """
    rows, columns = images.shape[:2]
    row = tiles.aspect(images)
    title = "Samples from the prior" if given is None else f"Samples from the prior, for each category of {given}"
    names = [] if given is None else [f"{given} = {r}" for r in range(rows)]
    left = 0.2 + 0.12 * max(map(len, names), default=0)
    figure, axes = tiles.board(columns, rows * row, TILE, left, title)
    for r, name in enumerate(names):
        axes.text(-0.15, (r + 0.5) * row, name, ha="right", va="center", fontsize=12, color=style.DISCRETE)
    for r in range(rows):
        for column, image in enumerate(images[r]):
            tiles.place(axes, image, column, r * row)
    return figure


@style.styled
def prior_points(data: NDArray[np.floating[Any]], samples: NDArray[np.floating[Any]]) -> Figure:
    """Draw two-dimensional data [N, 2] and decoded samples of the prior [M, 2]."""
    figure = style.new_figure(6.4, 6.2, layout="compressed")
    axes = figure.subplots()
    for points, color, name in ((data, style.CONTINUOUS, "data"), (samples, style.DISCRETE, "decoded prior sample")):
        axes.scatter(points[:, 0], points[:, 1], s=14, color=color, alpha=0.8, linewidths=0, label=name)
    axes.set(title="Data and samples from the prior", xlabel="$x_1$", ylabel="$x_2$")
    axes.set_aspect("equal", adjustable="datalim")
    figure.legend(loc="outside lower center", ncols=2, fontsize=11, markerscale=1.6)
    return figure
