import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import student_t


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(max_examples=30)
@given(st.floats(-50, 50), st.floats(0.1, 200))
def test_log_density_is_scipys(z: float, nu: float) -> None:
    expected = scipy.stats.t.logpdf(z, nu)
    assert student_t.log_prob(tensor(z), tensor(nu)).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("nu", [3.0, 5.0, 100.0])
def test_it_integrates_to_one(nu: float) -> None:
    t = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    z = t.sinh()
    density = student_t.log_prob(z, tensor(nu)).exp() * t.cosh()
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("nu", [1e4, 1e6])
def test_single_precision_keeps_a_large_nu(nu: float) -> None:
    z = torch.tensor([0.0, 1, 3], requires_grad=True)
    learned = torch.tensor(nu, requires_grad=True)
    found = student_t.log_prob(z, learned)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.detach().double(), torch.from_numpy(scipy.stats.t.logpdf([0, 1, 3], nu)), rtol=1e-5, atol=1e-5
    )
    assert torch.autograd.grad(found.sum(), learned)[0].isfinite()


def test_gradients_at_zero_too() -> None:
    inputs = [each.requires_grad_() for each in (tensor(-2, 0, 4), tensor(3, 5, 0.7))]
    assert torch.autograd.gradcheck(student_t.log_prob, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_follow_the_density_of_their_own_column(dtype: torch.dtype) -> None:
    z = student_t.draw((100_000, 2), tensor(3, 8), torch.Generator().manual_seed(0), dtype)
    assert z.dtype == dtype
    for column, nu in enumerate((3, 8)):
        assert scipy.stats.kstest(z[:, column].numpy(), scipy.stats.t(nu).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(z[:, 0].numpy(), scipy.stats.t(2.4).cdf).pvalue < 1e-6


def test_draws_carry_the_gradient_of_an_expectation() -> None:
    nu = tensor(6).requires_grad_()
    z = student_t.draw((400_000,), nu, torch.Generator().manual_seed(1), torch.float64)
    (gradient,) = torch.autograd.grad(z.abs().mean(), nu)
    moment = [scipy.stats.t(value).expect(abs) for value in (5.99, 6.01)]
    assert gradient.item() == pytest.approx((moment[1] - moment[0]) / 0.02, rel=0.05)
