"""Figures of two-dimensional latents and two-dimensional data (Mathieu et al. 2019, the pinwheel)."""

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hfvae_runner.figures import style

Floats = NDArray[np.floating[Any]]

PRIOR_SHARES = (0.99, 0.9, 0.5)
SIZE = (7.2, 6.3)
"""Size of the aggregate posterior's figure, in inches; the same for all runs, so that a grid of them can be made."""
PANEL = (0.13, 0.155, 0.665, 0.76)
"""Position of the density in the figure: left, bottom, width and height as shares; it is a square."""


@style.styled
def aggregate_posterior(
    density: Floats, extent: tuple[float, float, float, float], prior_density: Floats, means: Floats
) -> Figure:
    """Draw the density of q(z) = mean of q(z|x) over the data, with the prior's contours and the posterior means.

    The contours contain 50, 90 and 99 % of the prior's mass on the grid.

    Args:
        density, prior_density: [H, W] on one even grid, row 0 at the smallest z_2, column 0 at the smallest z_1.
        extent: (left, right, bottom, top) of the grid.
        means: [N, 2], the mean of q(z|x) for each example.
    """
    figure = style.new_figure(*SIZE, layout=None)
    axes = figure.add_axes(PANEL)
    picture = axes.imshow(density, origin="lower", extent=extent, cmap=style.DENSITY_MAP, vmin=0, aspect="equal")
    axes.scatter(means[:, 0], means[:, 1], s=7, color=style.INK, alpha=0.5, linewidths=0)
    levels = _enclosing_levels(prior_density, PRIOR_SHARES)
    axes.contour(
        prior_density, levels=levels, origin="lower", extent=extent, colors=style.DISCRETE, linewidths=1.6, alpha=0.9
    )
    prior = Line2D([], [], color=style.DISCRETE, label="prior p(z): 50, 90, 99 %")
    dots = Line2D([], [], color=style.INK, alpha=0.6, linestyle="", marker=".", label="mean of q(z|x)")
    figure.legend(handles=[prior, dots], loc="lower center", ncols=2, fontsize=11)
    axes.set(title="Aggregate posterior and prior", xlabel="$z_1$", ylabel="$z_2$", xlim=extent[:2], ylim=extent[2:])
    scale = figure.add_axes((PANEL[0] + PANEL[2] + 0.02, PANEL[1], 0.03, PANEL[3]))
    figure.colorbar(picture, cax=scale, label="density q(z)").outline.set_visible(False)
    return figure


@style.styled
def points(data: Floats, reconstructions: Floats) -> Figure:
    """Draw data [N, 2] and their reconstructions [N, 2], each pair joined by a line."""
    figure = style.new_figure(6.4, 6.2, layout="compressed")
    axes = figure.subplots()
    axes.add_collection(
        LineCollection(list(np.stack([data, reconstructions], axis=1)), colors=style.FAINT, linewidths=0.8)
    )
    axes.scatter(data[:, 0], data[:, 1], s=14, color=style.CONTINUOUS, linewidths=0, label="data")
    axes.scatter(
        reconstructions[:, 0], reconstructions[:, 1], s=14, color=style.DISCRETE, linewidths=0, label="reconstruction"
    )
    axes.set(title="Data and their reconstructions", xlabel="$x_1$", ylabel="$x_2$")
    axes.set_aspect("equal", adjustable="datalim")
    figure.legend(loc="outside lower center", ncols=2, fontsize=11, markerscale=1.6)
    return figure


def _enclosing_levels(density: Floats, shares: tuple[float, ...]) -> Floats:
    """Return the density above which each share of the grid's mass lies, ascending: highest-density regions."""
    ranked = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(ranked) / ranked.sum()
    # Where the density is flat, two shares may have the same level.
    return np.unique(ranked[np.minimum(np.searchsorted(mass, shares), len(ranked) - 1)])
