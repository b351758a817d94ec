"""Correlations between the activations of a text model's topics (HFVAE, Fig. 6, right)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import style


@style.styled
def topic_correlation(
    correlation: NDArray[np.floating[Any]], group_names: Sequence[str], sizes: Sequence[int]
) -> Figure:
    """Draw a heat map of the correlations between topics, sorted by group, with lines between the groups.

    The colours always represent -1..1, so that runs can be compared.

    Args:
        correlation: [T, T], -1..1, see `metrics.topics`; NaN, drawn grey, for a topic that never changes.
        group_names, sizes: of the groups of topics, in order; the sizes add up to T.
    """
    figure = style.new_figure(7.2, 6.4, layout="compressed")
    axes = figure.subplots()
    colours = colormaps["RdBu_r"].with_extremes(bad=style.FAINT)
    picture = axes.imshow(np.ma.masked_invalid(correlation), cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color=style.INK, linewidth=1.2)
        axes.axvline(end - 0.5, color=style.INK, linewidth=1.2)
    middles = ends - (np.asarray(sizes) + 1) / 2
    axes.set_xticks(middles, group_names)
    axes.set_yticks(middles, group_names, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(title="Correlation between topic activations", xlabel="topic", ylabel="topic")
    figure.colorbar(picture, ax=axes, label="correlation", fraction=0.05, pad=0.03).outline.set_visible(False)
    return figure
