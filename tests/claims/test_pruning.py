"""Variational inference prunes the factor that an over-complete factor analysis has too many (ISA-VAE, App. B.4).

Two-dimensional data, three factors, known noise σ²·I. Every W with the right WWᵀ has the greatest likelihood; the
bound is tight only where one column is 0 and the other two are orthogonal.
"""

import math
from itertools import pairwise

import pytest
import torch
from linear_vae import LinearVAE, with_covariance
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

SCALE = 0.5
RHO = 0.6
FACTORS = 3


def eq_17(alpha: float) -> Tensor:
    """W of Eq. 17 with α² + β² = 1, [2, 3]: two factors share the direction (1, 1), the third has (1, −1)."""
    beta = math.sqrt(1 - alpha**2)
    rows = [[alpha, beta, RHO], [alpha, beta, -RHO]]
    return torch.tensor(rows, dtype=torch.float64) / math.sqrt(2)


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Points that have just the covariance that Eq. 17 implies for every α, so that each is a maximum-likelihood W."""
    covariance = eq_17(0) @ eq_17(0).T + SCALE**2 * torch.eye(2, dtype=torch.float64)
    return with_covariance(covariance, 100, seed=0)


def mean_field(weights: Tensor) -> tuple[LinearVAE, Tensor]:
    """The model with these weights and its best factorised posterior, and the true posterior's precision.

    That posterior has the true one's means Σ·Wᵀx/σ² and, for variances, the inverses of the true precision's diagonal.
    """
    vae = LinearVAE(2, FACTORS, SCALE)
    precision = torch.eye(FACTORS, dtype=torch.float64) + weights.T @ weights / SCALE**2
    with torch.no_grad():
        vae.decoder.weight.copy_(weights)
        vae.decoder.bias.zero_()
        vae.encoder.means.weight.copy_(torch.linalg.solve(precision, weights.T) / SCALE**2)
        vae.encoder.means.bias.zero_()
        vae.encoder.log_scale.copy_(-0.5 * precision.diagonal().log())
    return vae, precision


def test_the_free_energy_is_greatest_where_a_factor_is_unused(x: Tensor) -> None:
    """The curve of App. B.4, from α = 0 to its mirror, where β = 0."""
    alphas = [math.sin(angle * math.pi / 16) for angle in range(9)]
    energies = []
    for alpha in alphas:
        vae, precision = mean_field(eq_17(alpha))
        likelihood = vae.log_likelihood(x)
        assert likelihood == pytest.approx(mean_field(eq_17(0))[0].log_likelihood(x), abs=1e-9)
        # KL(q(z|x) ‖ p(z|x)) of two normal distributions of equal means, the first one's precision diag(Λ).
        gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision)).item()
        # σ comes as a number in single precision.
        assert likelihood - vae.elbo(x) == pytest.approx(gap, abs=1e-6)
        energies.append(vae.elbo(x))
    assert energies[0] == pytest.approx(likelihood, abs=1e-6)
    for before, after in pairwise(energies[:5]):
        assert after < before - 0.01
    assert energies[4:] == pytest.approx(energies[4::-1], abs=1e-6)


def test_no_other_factorised_posterior_is_better(x: Tensor) -> None:
    """The curve is of optima: the package's bound has no slope in the encoder there."""
    vae, _ = mean_field(eq_17(0.5))
    vae.loss(x).backward()
    for parameter in vae.encoder.parameters():
        assert parameter.grad is not None
        # As above: σ in single precision.
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter.grad), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_prunes_the_third_factor(seed: int, x: Tensor) -> None:
    vae = LinearVAE(2, FACTORS, SCALE, seed)
    assert vae.weights.norm(dim=0).min() > 0.01
    vae.train(x)
    assert_pruned(vae, x)


def test_training_leaves_a_maximum_of_the_likelihood_that_uses_all_factors(x: Tensor) -> None:
    vae, _ = mean_field(eq_17(0.6))
    vae.train(x)
    assert_pruned(vae, x)


def assert_pruned(vae: LinearVAE, x: Tensor) -> None:
    """One factor left at its prior, two with the data's principal directions, and the bound tight."""
    norms, order = vae.weights.norm(dim=0).sort()
    # Where the loss no longer changes in float64, parameters are right to its square root.
    torch.testing.assert_close(norms, torch.tensor([0, RHO, 1], dtype=torch.float64), rtol=0, atol=1e-5)
    unused = order[0]
    assert vae.encoder.log_scale[unused].item() == pytest.approx(0, abs=1e-5)
    assert vae.encoder.means.weight[unused].norm().item() == pytest.approx(0, abs=1e-5)
    assert vae.encoder.means.bias[unused].item() == pytest.approx(0, abs=1e-5)
    used = vae.weights[:, order[1:]]
    assert (used[:, 0] @ used[:, 1]).item() == pytest.approx(0, abs=1e-5)
    assert vae.elbo(x) == pytest.approx(vae.log_likelihood(x), abs=1e-9)
