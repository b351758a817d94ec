import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import generalised_normal, laplace, normal

exponent = st.floats(0.3, 20)
scale = st.floats(0.2, 5)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def family(p: float, s: float) -> scipy.stats.rv_continuous:
    return scipy.stats.gennorm(p, scale=s ** (1 / p))


@settings(max_examples=50)
@given(st.floats(-3, 3), exponent, scale)
def test_log_density_and_variance_are_scipys(z: float, p: float, s: float) -> None:
    found = generalised_normal.log_prob(tensor(z), tensor(p), s).item()
    assert found == pytest.approx(family(p, s).logpdf(z), rel=1e-9, abs=1e-12)
    expected = math.exp(2 / p * math.log(s) + math.lgamma(3 / p) - math.lgamma(1 / p))
    assert generalised_normal.variance(tensor(p), s).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", [0.7, 1.0, 1.9, 2.2, 8.0])
@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_it_integrates_to_one_and_to_its_variance(p: float, s: float) -> None:
    t = torch.linspace(-5, 5, 40_001, dtype=torch.float64)
    z = t**5
    density = generalised_normal.log_prob(z, tensor(p), s).exp() * 5 * t**4
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-6)
    found = torch.trapezoid(density * z.square(), t).item()
    assert found == pytest.approx(generalised_normal.variance(tensor(p), s).item(), rel=1e-5)


def test_the_named_cases() -> None:
    z = torch.linspace(-4, 4, 9, dtype=torch.float64)
    s = 1.7
    gaussian = normal.log_prob(z, tensor(0), tensor(0.5 * math.log(s / 2)))
    torch.testing.assert_close(generalised_normal.log_prob(z, tensor(2), s), gaussian)
    torch.testing.assert_close(
        generalised_normal.log_prob(z, tensor(1), s), laplace.log_prob(z, tensor(0), tensor(math.log(s)))
    )


def test_gradients() -> None:
    inputs = [each.requires_grad_() for each in (tensor(-2, 0.3, 0.9), tensor(0.8, 2.1, 9))]
    assert torch.autograd.gradcheck(lambda z, p: generalised_normal.log_prob(z, p, 1.3), inputs)
    assert torch.autograd.gradcheck(lambda p: generalised_normal.variance(p, 1.3), inputs[1:])


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 9.0])
def test_gradients_at_zero(p: float) -> None:
    z, exponent = tensor(0, 0).requires_grad_(), tensor(p).requires_grad_()
    in_z, in_p = torch.autograd.grad(generalised_normal.log_prob(z, exponent, 1.0).sum(), (z, exponent))
    assert in_z.tolist() == [0, 0]
    # Only the constant depends on p there: log p − lgamma(1/p).
    assert in_p.item() == pytest.approx(2 * (1 / p + scipy.special.digamma(1 / p) / p**2))


def test_a_broken_value_is_not_hidden() -> None:
    assert generalised_normal.log_prob(tensor(math.nan), tensor(2), 1.0).isnan().all()


@pytest.mark.parametrize(("s", "dtype"), [(1.0, torch.float32), (2.0, torch.float64)])
def test_draws_follow_the_density_of_their_own_column(s: float, dtype: torch.dtype) -> None:
    exponents = (0.6, 2.1, 40.0)
    z = generalised_normal.draw((100_000, 3), tensor(*exponents), s, torch.Generator().manual_seed(0), dtype)
    assert z.dtype == dtype
    for column, p in enumerate(exponents):
        assert scipy.stats.kstest(z[:, column].numpy(), family(p, s).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(z[:, 1].numpy(), family(1.9, s).cdf).pvalue < 1e-6
    assert scipy.stats.kstest(z[:, 0].numpy(), family(0.63, s).cdf).pvalue < 1e-6


@pytest.mark.parametrize("p", [1.5, 2.5])
def test_draws_carry_the_gradient_of_an_expectation(p: float) -> None:
    exponent = tensor(p).requires_grad_()
    z = generalised_normal.draw((400_000,), exponent, 1.5, torch.Generator().manual_seed(1), torch.float64)
    (found,) = torch.autograd.grad(z.square().mean(), exponent)
    (expected,) = torch.autograd.grad(generalised_normal.variance(exponent, 1.5).sum(), exponent)
    assert found.item() == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.parametrize("p", [0.7, 2.2, 30.0])
def test_the_norm_of_several_is_drawn_at_once(p: float) -> None:
    generator = torch.Generator().manual_seed(2)
    norms = generalised_normal.draw_norm((100_000,), 4, tensor(p).squeeze(), generator)
    assert scipy.stats.kstest(norms.numpy() ** p, scipy.stats.gamma(4 / p).cdf).pvalue > 1e-3
    each = np.abs(generalised_normal.draw((50_000, 4), tensor(p), 1.0, generator, torch.float64).numpy())
    assert scipy.stats.ks_2samp(norms.numpy(), (each**p).sum(1) ** (1 / p)).pvalue > 1e-3
