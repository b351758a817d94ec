"""β-VAE sees no rotation of the latent space if the prior is isotropic, and sees it if not (α-β paper, Theorem 2)."""

from collections.abc import Callable

import pytest
import torch
from engine import CPU, objective_of
from mapped_vae import mapped_vae, some_x
from torch import Tensor

from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.anisotropic import anisotropic
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.latents.priors.laplace import laplace
from hfvae_runner.latents.priors.normal import normal

FACTORS = 3
BATCH = 16
BETA = 4.0


def spherical() -> Latents:
    """No normal distribution, but one subspace with the exponent 2 is as symmetric; its divergence is sampled."""
    return isa(size=FACTORS, subspaces=FACTORS, root_exponent=1.3, exponents=2.0, scale=1.0, learned=False)


def unequal_variances() -> Latents:
    return anisotropic(
        size=FACTORS,
        variances=[4.0, 1.0, 0.25],
        pca_as="deviations",
        scale=1.0,
        learned=False,
        examples=torch.zeros(1, 1),
    )


@pytest.fixture(scope="module")
def rotation() -> Tensor:
    """R, which the exponential of a skew-symmetric matrix is."""
    raw = torch.randn(FACTORS, FACTORS, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return torch.linalg.matrix_exp(raw - raw.T)


def beta_vae(latents: Latents, rotation: Tensor | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The objective's values, the loss among them, and its gradients in the networks; the noise turns with the space.

    Since s(x)²·I = R·s(x)²·I·Rᵀ, the turned noise gives the turned sample, so that expectations are equal draw by draw.
    """
    model = mapped_vae(latents, rotation)
    noise = torch.randn(BATCH, FACTORS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    turned = noise if rotation is None else noise @ rotation.T
    objective = objective_of("beta_vae", latents, beta=BETA)
    evidence = model(some_x(BATCH), [turned], estimator=objective.estimator, n_data=BATCH)
    no_noise = objective.noise(BATCH, torch.Generator())
    loss, values = objective(evidence, objective.knobs(0, CPU), no_noise)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**values, "loss": loss.detach()}, gradients


# Nothing is sampled anew, so only float64's rounding is left.
ROUNDING = 1e-10


@pytest.mark.parametrize("prior", [lambda: normal(size=FACTORS), spherical], ids=["normal", "spherical"])
def test_an_isotropic_prior_lets_the_space_turn(prior: Callable[[], Latents], rotation: Tensor) -> None:
    values, gradients = beta_vae(prior(), None)
    turned_values, turned_gradients = beta_vae(prior(), rotation)
    assert set(values) == {"term/reconstruction", "term/kl", "loss"}
    assert values["term/kl"] > 0.1
    torch.testing.assert_close(turned_values, values, rtol=0, atol=ROUNDING)
    # So training goes the same way.
    assert len(gradients) == 10
    torch.testing.assert_close(turned_gradients, gradients, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    "prior",
    [unequal_variances, lambda: laplace(size=FACTORS, scale=1.0, learned=False)],
    ids=["anisotropic", "laplace"],
)
def test_a_prior_with_axes_does_not(prior: Callable[[], Latents], rotation: Tensor) -> None:
    """Both have their divergence in closed form, so that a difference is one of expectations."""
    values, _ = beta_vae(prior(), None)
    turned, _ = beta_vae(prior(), rotation)
    torch.testing.assert_close(turned["term/reconstruction"], values["term/reconstruction"], rtol=0, atol=ROUNDING)
    difference = (turned["term/kl"] - values["term/kl"]).item()
    assert abs(difference) > 1e-3
    assert (turned["loss"] - values["loss"]).item() == pytest.approx(BETA * difference, abs=ROUNDING)
