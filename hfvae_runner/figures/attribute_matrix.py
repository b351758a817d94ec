"""Heat map of the information of each latent variable on each attribute (HFVAE, Fig. 12, right)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import style

SMALLEST_SCALE = 0.01
"""Least information, in nats, that the full colour represents, so that noise near 0 does not get a strong colour."""


@style.styled
def attribute_matrix(
    information: NDArray[np.floating[Any]], attribute_names: Sequence[str], factor_names: Sequence[str]
) -> Figure:
    """Draw a heat map of I(b_a; z_d), [A, F] in nats, see `metrics.attribute_information`."""
    attributes, factors = information.shape
    figure = style.new_figure(max(7.5, 4 + style.column_width(factors) * factors), 2.4 + 0.36 * attributes)
    axes = figure.subplots()
    strongest = max(float(information.max()), SMALLEST_SCALE)
    picture = axes.imshow(information, cmap=style.DENSITY_MAP, vmin=0, vmax=strongest, aspect="auto")
    style.name_columns(axes, factor_names)
    axes.set_yticks(range(attributes), attribute_names)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    axes.set(
        title="Information between attributes and latent variables", xlabel="latent variable", ylabel="attribute b"
    )
    figure.colorbar(picture, ax=axes, label="I(b; z) / nats", fraction=0.05, pad=0.02).outline.set_visible(False)
    return figure
