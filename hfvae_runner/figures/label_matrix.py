"""Heat map of the information of each latent variable on each label (HFVAE, Fig. 7, right)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import style

SMALLEST_SCALE = 0.01
"""Least information, in nats, that a full colour or bar represents, so that noise near 0 does not look large."""


@style.styled
def label_matrix(
    contributions: NDArray[np.floating[Any]],
    label_names: Sequence[str],
    factor_names: Sequence[str],
    discrete: Sequence[bool],
) -> Figure:
    """Draw a heat map of each label's contribution to I(y; z_d), with I(y; z_d), the column's total, as bars on top.

    Args:
        contributions: [C, F] in nats, see `metrics.label_information`.
        label_names: of the C labels.
        factor_names: of the F latent variables.
        discrete: whether each of the F latent variables is discrete.
    """
    labels, factors = contributions.shape
    figure = style.new_figure(max(6.5, 3 + style.column_width(factors) * factors), 3.1 + 0.36 * labels)
    top, heat = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 0.36 * labels))
    _totals(top, contributions.sum(0), discrete)
    strongest = max(float(contributions.max()), SMALLEST_SCALE)
    picture = heat.imshow(contributions, cmap=style.DENSITY_MAP, vmin=0, vmax=strongest, aspect="auto")
    style.name_columns(heat, factor_names)
    heat.set_yticks(range(labels), label_names)
    heat.set(xlabel="latent variable", ylabel="label y")
    heat.tick_params(axis="y", length=0)
    heat.spines[:].set_visible(False)
    if style.column_width(factors) >= style.NARROW:
        _numbers(heat, contributions, strongest)
    figure.colorbar(picture, ax=heat, label="contribution / nats", fraction=0.05, pad=0.02).outline.set_visible(False)
    return figure


def _totals(axes: Axes, totals: NDArray[np.floating[Any]], discrete: Sequence[bool]) -> None:
    colors = [style.DISCRETE if is_discrete else style.CONTINUOUS for is_discrete in discrete]
    bars = axes.bar(range(len(totals)), totals, color=colors, width=0.7)
    if style.column_width(len(totals)) >= style.NARROW:
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=10)
    axes.set(title="Information between the label and each latent variable", ylabel="I(y; z) / nats")
    axes.set_ylim(0, 1.25 * max(float(totals.max()), SMALLEST_SCALE))
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _numbers(axes: Axes, contributions: NDArray[np.floating[Any]], strongest: float) -> None:
    """Print the values of the cells that are at least a tenth of the strongest."""
    for (label, factor), value in np.ndenumerate(contributions):
        if value >= 0.1 * strongest:
            color = "white" if value > 0.6 * strongest else style.INK
            axes.text(factor, label, f"{value:.2f}", ha="center", va="center", fontsize=9, color=color)
