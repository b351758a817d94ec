import math

import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from hfvae_runner.distributions import normal

number = st.floats(-3, 3)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(max_examples=20)
@given(number, number, number)
def test_log_density_is_scipys(z: float, mean: float, log_scale: float) -> None:
    expected = scipy.stats.norm.logpdf(z, mean, math.exp(log_scale))
    assert normal.log_prob(tensor(z), tensor(mean), tensor(log_scale)).item() == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20)
@given(number, number)
def test_kl_is_the_integral_of_its_definition(mean: float, log_scale: float) -> None:
    q, p = scipy.stats.norm(mean, math.exp(log_scale)), scipy.stats.norm()
    reach = 12 * math.exp(log_scale)
    integral, _error = scipy.integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean - reach, mean + reach, points=[mean], limit=200
    )
    assert normal.kl_to_standard(tensor(mean), tensor(log_scale)).item() == pytest.approx(integral, rel=1e-6, abs=1e-8)


@settings(max_examples=20)
@given(number, number, number, number)
def test_kl_of_two_is_torchs(mean: float, log_scale: float, other_mean: float, other_log_scale: float) -> None:
    q, p = (Normal(*tensor(at, math.exp(log))) for at, log in ((mean, log_scale), (other_mean, other_log_scale)))
    found = normal.kl(*(tensor(each) for each in (mean, log_scale, other_mean, other_log_scale))).item()
    assert found == pytest.approx(kl_divergence(q, p).item(), rel=1e-9, abs=1e-12)


def test_kl_to_the_standard_normal_is_a_special_case() -> None:
    mean, log_scale = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    zero = tensor(0)
    torch.testing.assert_close(normal.kl(mean, log_scale, zero, zero), normal.kl_to_standard(mean, log_scale))


def test_kl_vanishes_at_the_prior_only() -> None:
    assert normal.kl_to_standard(tensor(0), tensor(0)).item() == 0
    assert (normal.kl_to_standard(tensor(0.1, 0, 0), tensor(0, 0.1, -0.1)) > 0).all()


def test_the_table_pairs_every_sample_with_every_component() -> None:
    z, mean, log_scale = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = normal.log_prob_table(z[:4], mean, log_scale)
    torch.testing.assert_close(table, normal.log_prob(z[:4, None], mean, log_scale), rtol=1e-12, atol=1e-12)


def test_the_tables_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(n, dtype=torch.float64, generator=generator, requires_grad=True) for n in (3, 5, 5)]
    assert torch.autograd.gradcheck(normal.log_prob_table, inputs)


def test_the_tables_backward_leaves_the_incoming_gradient_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    z, mean, log_scale = torch.randn(3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    gradient = torch.ones(4, 4, dtype=torch.float64)
    torch.autograd.grad(normal.log_prob_table(z, mean, log_scale), (z, mean, log_scale), gradient)
    assert (gradient == 1).all()


def test_sample_moves_and_scales_the_noise() -> None:
    torch.testing.assert_close(normal.sample(tensor(1, 2), tensor(0, math.log(3)), tensor(-1, 2)), tensor(0, 8))
