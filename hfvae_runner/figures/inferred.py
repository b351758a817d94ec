"""The inferred value of a latent against the ground-truth factor that it tells most of (JointVAE, Fig. 9a)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hfvae_runner.figures import looks, style
from hfvae_runner.figures.looks import Floats

_MOST_TICKS = 8
_ENDS = (5, 95)


class Inferred(NamedTuple):
    """A factor, and the latent of which it explains the largest share of the variance.

    Attributes:
        factor: its name.
        values: of the examples, [N], whole numbers.
        latent: the latent's name.
        means: the latent's posterior means, [N].
        share: the share of the means' variance that the factor explains, from 0 to 1.
    """

    factor: str
    values: NDArray[np.integer[Any]]
    latent: str
    means: Floats
    share: float


@style.styled
def inferred(found: Sequence[Inferred]) -> Figure:
    """Draw a panel per factor: for each of its values, the median of the means and the range of 90 % of them.

    Args:
        found: at least one factor.
    """
    figure, grid = looks.panels(len(found))
    for axes, each in zip(grid, found, strict=True):
        _panel(axes, each)
    figure.suptitle("Posterior mean of the latent that tells most of each factor", x=0.01, ha="left", fontsize=15)
    return figure


def _panel(axes: Axes, each: Inferred) -> None:
    known, medians, low, high = [], [], [], []
    for value, members in looks.groups(each.values):
        lower, middle, upper = np.percentile(each.means[members], (_ENDS[0], 50, _ENDS[1]))
        known.append(value)
        medians.append(middle)
        low.append(lower)
        high.append(upper)
    axes.grid(axis="y")
    axes.vlines(known, low, high, color=style.CONTINUOUS, linewidth=2, alpha=0.35)
    axes.plot(known, medians, "o", color=style.CONTINUOUS, markersize=4)
    axes.set_title(looks.literal(f"{each.factor} explains {each.share:.0%} of {each.latent}"), fontsize=12, pad=8)
    axes.set_xlabel(looks.literal(each.factor))
    axes.set_ylabel(looks.literal(each.latent))
    if len(known) <= _MOST_TICKS:
        axes.set_xticks(known)
