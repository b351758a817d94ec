"""β-VAE is a VAE under an annealed prior, plus the posterior's entropy (α-β, Theorem 1 and Corollary 1)."""

import math
from dataclasses import dataclass

import pytest
import torch
from engine import loss_of, objective_of
from mapped_vae import mapped_vae, some_x
from torch import Tensor
from torch.distributions import Categorical, Distribution, Laplace, MixtureSameFamily, Normal

from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.laplace import laplace
from hfvae_runner.latents.priors.mixture import mixture
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.models.vae import VAE
from hfvae_runner.objectives.objective import Objective

pytestmark = pytest.mark.usefixtures("one_thread")


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """One factor under the package's prior, and the same prior p by torch."""

    latents: Latents
    prior: Distribution

    def annealed(self, beta: float) -> Distribution | None:
        """f_β = p^β/F_β, where that is a member of the prior's family."""
        match self.prior:
            case Normal():
                # Sec. 4.1: f_β = N(0, Σ/β).
                return Normal(number(0.0), number(beta**-0.5))
            case Laplace():
                return Laplace(number(0.0), number(1 / beta))
        return None


def cases() -> dict[str, Case]:
    two = MixtureSameFamily(
        Categorical(torch.ones(2).double()), Normal(torch.tensor([-1.0, 1.0]).double(), number(0.5))
    )
    return {
        "normal": Case(normal(size=1), Normal(number(0.0), number(1.0))),
        "laplace": Case(laplace(size=1, scale=1.0, learned=False), Laplace(number(0.0), number(1.0))),
        "mixture": Case(
            mixture(size=1, components=2, radius=1.0, means=None, variance=0.25, weights=None, learned=False), two
        ),
    }


def target(model: VAE, x: Tensor, beta: float) -> float:
    """L_β(x) of one example by the package's own objective, its sample's noise integrated out by the trapezoidal rule.

    The objective is that of a single draw, so that the mean over draws is the sum with their weights.
    """
    objective = objective_of("beta_vae", model.latents, beta=beta)
    points = torch.linspace(-9, 9, 361, dtype=torch.float64)
    weights = Normal(number(0.0), number(1.0)).log_prob(points).exp() * (points[1] - points[0])
    losses = []
    with torch.no_grad():
        for point in points:
            evidence = model(x, [point.reshape(1, 1)], estimator=objective.estimator, n_data=1)
            losses.append(loss_of(objective, evidence))
    return -(weights @ torch.stack(losses)).item()


@pytest.mark.parametrize("beta", [0.5, 4.0])
@pytest.mark.parametrize("name", ["normal", "laplace", "mixture"])
@torch.no_grad()
def test_theorem_1(name: str, beta: float) -> None:
    case = cases()[name]
    model = mapped_vae(case.latents)
    x = some_x(1)

    # Steps of 0.0005 with a knot at 0, where Laplace's density has its kink; the error there is β²·step²/12 < 4e-7.
    # Beyond 40 there is less than 1e-8 of p^β, whatever the prior.
    z = torch.linspace(-40, 40, 160_001, dtype=torch.float64)
    log_p = case.prior.log_prob(z)
    log_constant = torch.trapezoid((beta * log_p).exp(), z).log()
    log_annealed = beta * log_p - log_constant
    known = case.annealed(beta)
    if known is not None:
        torch.testing.assert_close(log_annealed, known.log_prob(z), rtol=0, atol=1e-6)

    (parameters,) = model.encode(x)
    q = Normal(parameters[0, 0], parameters[0, 1].exp())
    location, log_scale = model.decode(z[:, None]).unbind(1)
    log_px = Normal(location, log_scale.exp()).log_prob(x).sum(1)
    bound = torch.trapezoid(q.log_prob(z).exp() * (log_px + log_annealed - q.log_prob(z)), z)

    # Eq. 3. The errors are the rule's, as above, and the mixture's weights in single precision.
    expected = bound + (beta - 1) * q.entropy() + log_constant
    assert target(model, x, beta) == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("beta", [0.5, 4.0])
@torch.no_grad()
def test_corollary_1(beta: float) -> None:
    """On a normal prior: the VAE of the space stretched by √β, plus half the log-determinant of its posterior."""
    factors, batch = 2, 16
    latents = normal(size=factors)
    noise = [torch.randn(batch, factors, generator=torch.Generator().manual_seed(2), dtype=torch.float64)]

    def bound(model: VAE, objective: Objective) -> float:
        evidence = model(some_x(batch), noise, estimator=objective.estimator, n_data=batch)
        return -loss_of(objective, evidence).item()

    stretched = mapped_vae(latents, stretch=math.sqrt(beta))
    (parameters,) = stretched.encode(some_x(batch))
    log_determinant = 2 * parameters[:, factors:].sum(1).mean().item()
    # F_β = ∫ N(z; 0, 1)^β dz to the power D.
    log_constant = factors * (0.5 * (1 - beta) * math.log(2 * math.pi) - 0.5 * math.log(beta))
    constant = 0.5 * factors * (beta - 1) * (1 + math.log(2 * math.pi / beta)) + log_constant
    # Eq. 4; both sides decode the same points, so that rounding is all that differs.
    expected = bound(stretched, objective_of("vae", latents)) + 0.5 * (beta - 1) * log_determinant + constant
    beta_vae = objective_of("beta_vae", latents, beta=beta)
    assert bound(mapped_vae(latents), beta_vae) == pytest.approx(expected, abs=1e-10)
