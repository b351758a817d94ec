import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import ContinuousBernoulli
from torch.nn.functional import softplus

from hfvae_runner.distributions import continuous_bernoulli

# Across 0 and across the border between series and closed form, on both sides.
LOGITS = [-700.0, -40.0, -3.0, -0.301, -0.3, -0.299, -1e-4, 0.0, 1e-12, 1e-4, 0.299, 0.3, 0.301, 3.0, 40.0, 700.0]


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("logit", LOGITS)
def test_it_integrates_to_one_and_to_its_mean(logit: float) -> None:
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    # Fine at both ends, where a large logit has its mass.
    x, slope = t**3 * (10 - 15 * t + 6 * t**2), 30 * t**2 * (1 - t) ** 2
    density = continuous_bernoulli.log_prob(x, tensor(logit)).exp() * slope
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-6)
    found = continuous_bernoulli.mean(tensor(logit)).item()
    assert found == pytest.approx(torch.trapezoid(x * density, t).item(), abs=1e-6)


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(0.01, 15), st.booleans())
def test_it_is_the_formula_and_torchs(x: float, size: float, negative: bool) -> None:
    logit = -size if negative else size
    found = continuous_bernoulli.log_prob(tensor(x), tensor(logit))
    formula = x * logit - softplus(tensor(logit)) + math.log(logit / math.tanh(logit / 2))
    torch.testing.assert_close(found, formula, rtol=1e-9, atol=1e-9)
    theirs = ContinuousBernoulli(logits=tensor(logit))
    torch.testing.assert_close(found, theirs.log_prob(tensor(x)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(continuous_bernoulli.mean(tensor(logit)), theirs.mean, rtol=1e-4, atol=1e-4)


def test_at_logit_zero_it_is_uniform() -> None:
    logits = torch.zeros(3, requires_grad=True)
    found = continuous_bernoulli.log_prob(torch.tensor([0.0, 0.25, 1.0]), logits)
    assert found.tolist() == [0, 0, 0]
    assert torch.autograd.grad(found.sum(), logits)[0].tolist() == [-0.5, -0.25, 0.5]
    assert continuous_bernoulli.mean(logits).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_value_minus_mean_everywhere(dtype: torch.dtype) -> None:
    sizes = torch.logspace(-30, 5, 400, dtype=dtype)
    logits = torch.cat([-sizes.flip(0), torch.zeros(1, dtype=dtype), sizes]).requires_grad_()
    x = torch.full_like(logits, 0.2)
    found = continuous_bernoulli.log_prob(x, logits)
    assert found.dtype == dtype
    assert found.isfinite().all()
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    mean = continuous_bernoulli.mean(logits)
    torch.testing.assert_close(gradient, (x - mean).detach(), rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-13)
    assert (mean.diff() >= -2 * torch.finfo(dtype).eps).all()
    (slope,) = torch.autograd.grad(mean.sum(), logits)
    assert slope.isfinite().all()


def test_gradients() -> None:
    logits = tensor(-30, -2, -0.2, -1e-3, 0, 0.1, 0.5, 4, 50).requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: continuous_bernoulli.log_prob(tensor(0.3), logits), logits)
    assert torch.autograd.gradcheck(continuous_bernoulli.mean, logits)
