import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.distributions import bernoulli, fused_bernoulli


def both(x: Tensor, logits: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Value and gradient, fused and in float64."""
    toward = torch.linspace(-1, 2, len(x))
    logits = logits.detach().requires_grad_()
    found = fused_bernoulli.log_prob(x, logits)
    (gradient,) = torch.autograd.grad((found * toward).sum(), logits)
    exact = logits.detach().double().requires_grad_()
    expected = bernoulli.log_prob(x.double(), exact).sum(1)
    (exact_gradient,) = torch.autograd.grad((expected * toward).sum(), exact)
    return (found.detach(), gradient), (expected.detach(), exact_gradient)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 70), st.floats(0.01, 40), st.integers(0, 2**31))
def test_values_and_gradients_are_the_plain_ones(examples: int, pixels: int, spread: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(examples, pixels, generator=generator)
    logits = spread * torch.randn(examples, pixels, generator=generator)
    found, expected = both(x, logits)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-6, atol=1e-6 * pixels)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=1e-6, atol=1e-6)


def test_every_single_logit_is_exact_to_rounding() -> None:
    logits = torch.linspace(-30, 30, 4001)[:, None]
    for value in (0.0, 1.0):
        found = fused_bernoulli.log_prob(torch.full_like(logits, value), logits)
        expected = bernoulli.log_prob(torch.full_like(logits, value).double(), logits.double())[:, 0]
        torch.testing.assert_close(found.double(), expected, rtol=5e-7, atol=2e-7)


def test_extreme_logits_stay_finite() -> None:
    (value, gradient), _ = both(torch.tensor([[1.0], [0.0]]), torch.tensor([[-1e4], [1e4]]))
    assert value.tolist() == [-1e4, -1e4]
    assert gradient.tolist() == [[-1.0], [-2.0]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_so(value: float) -> None:
    logits = torch.zeros(2, 5)
    logits[0, 2] = value
    found = fused_bernoulli.log_prob(torch.full((2, 5), 0.5), logits)
    assert not found[0].isfinite()
    assert found[1].isfinite()


def test_many_batches_at_once_are_each_by_itself() -> None:
    x, logits = torch.rand(3, 4, 6), torch.randn(3, 4, 6)
    found = torch.vmap(fused_bernoulli.log_prob)(x, logits)
    shared = torch.vmap(fused_bernoulli.log_prob, in_dims=(None, 0))(x[0], logits)
    for r in range(3):
        assert torch.equal(found[r], fused_bernoulli.log_prob(x[r], logits[r]))
        assert torch.equal(shared[r], fused_bernoulli.log_prob(x[0], logits[r]))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's check
def test_torch_finds_the_operator_sound() -> None:
    inputs = torch.rand(3, 5), torch.randn(3, 5, requires_grad=True)
    torch.library.opcheck(fused_bernoulli._bernoulli, inputs)


def test_what_has_no_kernel_is_known() -> None:
    assert fused_bernoulli.supports(torch.zeros(1))
    assert not fused_bernoulli.supports(torch.zeros(1, dtype=torch.float64))
