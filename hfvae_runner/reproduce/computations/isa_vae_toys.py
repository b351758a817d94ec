"""ISA-VAE's toy examples: biases of variational inference (App. B), and priors that prefer a direction (Fig. 3).

The free energies are optimised exactly, without networks and minibatches.
"""

import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hfvae_runner.figures import style
from hfvae_runner.reproduce.computations import _factor_analysis, _orientation, _over_complete
from hfvae_runner.reproduce.statements import Computed


def compute() -> Computed:
    """Return the statements of App. B and Fig. 3, and their figure."""
    found = (*_factor_analysis.statements(), *_over_complete.statements(), *_orientation.statements())
    return Computed(found, _figure())


@style.styled
def _figure() -> Figure:
    """App. B.3 to B.5 on top, B.8 and Fig. 3 below."""
    figure = style.new_figure(15, 10)
    axes = figure.subplots(2, 3)
    _turning(axes[0, 0])
    _sharing(axes[0, 1])
    _components(axes[0, 2], 1.0)
    _components(axes[1, 0], 5.0)
    _square(axes[1, 1], "leptokurtic", _orientation.DIAGONAL)
    _square(axes[1, 2], "platykurtic", _orientation.AXES)
    return figure


def _turning(axes: Axes) -> None:
    model = _factor_analysis.LENGTHS[0]
    s = _factor_analysis.covariance(_factor_analysis.weights(model))
    turns = np.linspace(0, 2 * math.pi, 129)
    turned = [_factor_analysis.weights(model, turn) for turn in turns]
    likelihood = [float(_factor_analysis.log_likelihood(w, s)) for w in turned]
    axes.plot(turns, likelihood, color=style.INK, label="log-likelihood")
    for beta, color in zip(_factor_analysis.BETAS, style.SEQUENCE, strict=False):
        energy = [float(_factor_analysis.free_energy(w, s, beta)) for w in turned]
        axes.plot(turns, energy, color=color, label=f"free energy, β = {beta:g}")
    axes.set_xticks([k * math.pi / 2 for k in range(5)], ["0", "π/2", "π", "3π/2", "2π"])
    axes.set(title="Factor analysis: weights turned", xlabel="angle", ylabel="nats per example")
    axes.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _sharing(axes: Axes) -> None:
    rho = _factor_analysis.RHOS[0]
    s = _factor_analysis.covariance(_factor_analysis.overcomplete(0, rho))
    alphas = np.linspace(0, 1, 101)
    shared = [_factor_analysis.overcomplete(alpha, rho) for alpha in alphas]
    likelihood = [float(_factor_analysis.log_likelihood(w, s)) for w in shared]
    axes.plot(alphas, likelihood, color=style.INK, label="log-likelihood")
    energy = [float(_factor_analysis.free_energy(w, s)) for w in shared]
    axes.plot(alphas, energy, color=style.CONTINUOUS, label="free energy")
    axes.set(title="Three factors for two values (Eq. 17)", xlabel="α", ylabel="nats per example")
    axes.legend(fontsize=9)


def _components(axes: Axes, beta: float) -> None:
    noise = _over_complete.NOISES[0]
    x = _over_complete.data(noise)
    axes.plot(*x.T, "o", color=style.FAINT, ms=3)
    drawn = ((_over_complete.true_weights(), style.CONTINUOUS, "true"),)
    for w, color, label in (*drawn, (_over_complete.fitted(beta, noise)[0], style.DISCRETE, "learned")):
        for k, column in enumerate((4 * w).T):
            axes.plot(*torch.stack([-column, column]).T, color=color, lw=2.5, label=label if k == 0 else None)
    axes.set(title=f"Over-complete ICA, β = {beta:g}", xlabel="x₁", ylabel="x₂", xlim=(-10, 10), ylim=(-10, 10))
    axes.set_xticks(range(-10, 11, 5))
    axes.set_aspect("equal")
    axes.legend(fontsize=9)


def _square(axes: Axes, kind: str, degrees: float) -> None:
    """The square as the prior prefers it, coloured by the first latent, on the prior's contours."""
    z = _orientation.positions(degrees)
    line = torch.linspace(-3, 3, 121, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    density = _orientation.log_prior(grid, _orientation.EXPONENTS[kind]).exp().reshape(121, 121).T
    axes.scatter(z[:, 0], z[:, 1], c=z[:, 0], cmap="coolwarm", s=5)
    axes.contour(line, line, density, levels=5, colors=style.INK, linewidths=0.8)
    axes.set(title=f"{kind.capitalize()} prior, p = {_orientation.EXPONENTS[kind]:g}", xlabel="z₁", ylabel="z₂")
    axes.set_aspect("equal")
