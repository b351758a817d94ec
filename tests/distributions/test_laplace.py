import math

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import laplace

number = st.floats(-3, 3)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(max_examples=30)
@given(number, number, number)
def test_log_density_is_scipys(z: float, loc: float, log_scale: float) -> None:
    expected = scipy.stats.laplace.logpdf(z, loc, math.exp(log_scale))
    assert laplace.log_prob(tensor(z), tensor(loc), tensor(log_scale)).item() == pytest.approx(expected, rel=1e-9)


def test_it_integrates_to_one() -> None:
    z = torch.linspace(-59, 61, 240_001, dtype=torch.float64)
    density = laplace.log_prob(z, tensor(1), tensor(math.log(1.5))).exp()
    assert torch.trapezoid(density, z).item() == pytest.approx(1, abs=1e-6)


def test_gradients() -> None:
    inputs = [each.requires_grad_() for each in (tensor(-1, 0.5, 2), tensor(0.3), tensor(-0.2))]
    assert torch.autograd.gradcheck(laplace.log_prob, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_follow_the_density_and_carry_gradients(dtype: torch.dtype) -> None:
    noise = laplace.noise((100_000,), torch.Generator().manual_seed(0), dtype)
    loc, log_scale = (torch.tensor(value, dtype=dtype, requires_grad=True) for value in (0.7, -0.5))
    z = laplace.sample(loc, log_scale, noise)
    assert z.dtype == dtype
    assert scipy.stats.kstest(z.detach().numpy(), scipy.stats.laplace(0.7, math.exp(-0.5)).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(z.detach().numpy(), scipy.stats.laplace(0.7, 1.05 * math.exp(-0.5)).cdf).pvalue < 1e-6
    grad_loc, grad_scale = torch.autograd.grad(z.sum(), (loc, log_scale))
    torch.testing.assert_close(grad_loc, torch.full_like(loc, 100_000))
    torch.testing.assert_close(grad_scale, (noise * math.exp(-0.5)).sum(), rtol=1e-3, atol=1e-3)


def test_noise_repeats_with_its_seed() -> None:
    first, again = (laplace.noise((2, 3), torch.Generator().manual_seed(4), torch.float32) for _ in range(2))
    assert first.shape == (2, 3)
    assert torch.equal(first, again)
