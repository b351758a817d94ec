import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import bernoulli


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(-15, 15))
def test_log_density_by_hand(x: float, logit: float) -> None:
    p = 1 / (1 + math.exp(-logit))
    expected = x * math.log(p) + (1 - x) * math.log1p(-p)
    found = bernoulli.log_prob(torch.tensor(x, dtype=torch.float64), torch.tensor(logit, dtype=torch.float64))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_probabilities_sum_to_one() -> None:
    logits = torch.linspace(-5, 5, 11, dtype=torch.float64)
    one, zero = (bernoulli.log_prob(torch.full_like(logits, x), logits).exp() for x in (1.0, 0.0))
    torch.testing.assert_close(one + zero, torch.ones_like(logits))


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    value = bernoulli.log_prob(torch.tensor([1.0, 0.0]), logits)
    assert value.tolist() == [-1e4, -1e4]
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.tolist() == [1, -1]
