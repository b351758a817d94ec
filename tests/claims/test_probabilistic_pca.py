"""A linear-Gaussian autoencoder learns probabilistic principal components (Tipping & Bishop 1999, Sec. 3.2).

Their closed form: W = U·(Λ − σ²·I)^½·R and σ² = the mean of the discarded eigenvalues, for any rotation R. The
factorised posterior allows only those R that keep the columns of W orthogonal, and then equals the true posterior, so
that the bound is the log-likelihood.
"""

import pytest
import torch
from linear_vae import LinearVAE, with_covariance
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")

EIGENVALUES = torch.tensor([4.0, 2.0, 0.4, 0.3, 0.2], dtype=torch.float64)
FACTORS = 2
OFFSET = torch.tensor([1.0, -2.0, 0.0, 0.5, 3.0], dtype=torch.float64)

# The optimiser stops where the loss no longer changes in float64, which leaves parameters the square root of that.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def directions() -> Tensor:
    """The data's principal directions U, one a column, [5, 5]."""
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q


@pytest.fixture(scope="module")
def x(directions: Tensor) -> Tensor:
    return with_covariance(directions * EIGENVALUES @ directions.T, 200, seed=1) + OFFSET


@pytest.mark.parametrize("seed", [0, 1])
def test_training_ends_at_the_closed_form(seed: int, x: Tensor, directions: Tensor) -> None:
    vae = LinearVAE(5, FACTORS, "learned", seed)
    assert vae.log_likelihood(x) - vae.elbo(x) > 0.5
    vae.train(x)

    noise = EIGENVALUES[FACTORS:].mean()
    kept = EIGENVALUES[:FACTORS]
    assert vae.noise_variance == pytest.approx(noise.item(), abs=TOLERANCE)
    torch.testing.assert_close(vae.decoder.bias.detach(), OFFSET, rtol=0, atol=TOLERANCE)

    order = vae.weights.norm(dim=0).argsort(descending=True)
    columns = vae.weights[:, order]
    expected = directions[:, :FACTORS] * (kept - noise).sqrt()
    signs = (columns * expected).sum(0).sign()
    torch.testing.assert_close(columns * signs, expected, rtol=0, atol=TOLERANCE)

    # p(z|x) has the precision I + WᵀW/σ², which is diagonal for such W and has the entries λ/σ².
    variances = (2 * vae.encoder.log_scale.detach()).exp()[order]
    torch.testing.assert_close(variances, noise / kept, rtol=0, atol=TOLERANCE)


def test_the_bound_is_tight_there_and_nowhere_before(x: Tensor) -> None:
    vae = LinearVAE(5, FACTORS, "learned")
    vae.train(x)
    assert vae.elbo(x) == pytest.approx(vae.log_likelihood(x), abs=1e-9)
    # Their Eq. 8 at its maximum: −½·(X·log 2π + log|C| + tr(C⁻¹S)), where tr(C⁻¹S) = X.
    spectrum = torch.cat([EIGENVALUES[:FACTORS], EIGENVALUES[FACTORS:].mean().expand(3)])
    greatest = -0.5 * ((2 * torch.pi * spectrum).log().sum() + len(spectrum))
    assert vae.elbo(x) == pytest.approx(greatest.item(), abs=1e-9)

    # Turned by R the likelihood stays, and the factorised posterior no longer fits.
    angle = torch.tensor(0.5, dtype=torch.float64)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    with torch.no_grad():
        vae.decoder.weight.copy_(vae.weights @ turn)
        vae.encoder.means.weight.copy_(turn.T @ vae.encoder.means.weight)
        vae.encoder.means.bias.copy_(turn.T @ vae.encoder.means.bias)
    assert vae.log_likelihood(x) == pytest.approx(greatest.item(), abs=1e-9)
    assert vae.elbo(x) < greatest.item() - 0.05
