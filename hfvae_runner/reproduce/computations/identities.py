"""What the five papers have in closed form, computed twice: by the package, and written out from the paper.

No network is trained. The written-out side uses torch.distributions, scipy, sums over all batches, or the trapezoidal
rule, and none of the package's own densities or mixtures.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hfvae_runner.figures import style
from hfvae_runner.reproduce.computations import _autoencoders, _decomposition, _priors
from hfvae_runner.reproduce.statements import Computed, Statement


def compute() -> Computed:
    """Return every statement, and a figure of how near its sides are."""
    found = (*_decomposition.statements(), *_priors.statements(), *_autoencoders.statements())
    return Computed(found, _figure(found))


_LEAST = 1e-17
"""Where a difference of 0 is drawn."""


@style.styled
def _figure(statements: Sequence[Statement]) -> Figure:
    """A line for each equation: a dot at the largest difference, a bar at the tolerance."""
    equations = [each for each in statements if each.relation == "equal"]
    differences = [float(np.abs(np.subtract(each.left, each.right)).max()) for each in equations]
    figure = style.new_figure(11, 1.2 + 0.32 * len(equations))
    axes = figure.subplots()
    lines = range(len(equations))
    axes.grid(axis="x")
    axes.plot(np.maximum(differences, _LEAST), lines, "o", color=style.CONTINUOUS, label="largest difference")
    axes.plot([each.tolerance for each in equations], lines, "|", color=style.DISCRETE, ms=14, mew=2, label="tolerance")
    axes.set(
        xscale="log", xlabel="nats", title="Largest difference between the two sides", ylim=(len(equations) - 0.5, -0.5)
    )
    axes.set_yticks(lines, [f"{each.where}: {each.what}" for each in equations], fontsize=9)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=10)
    axes.set_title("")
    return figure
