import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import mixture


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=50)
@given(st.floats(0, 1e4), st.floats(-1e4, 1e4), st.integers(0, 1000))
def test_it_is_logsumexp(spread: float, shift: float, seed: int) -> None:
    table, weights = spread * random(4, 6, seed=seed) + shift, random(4, 6, seed=seed + 1)
    expected = torch.logsumexp(table + weights, dim=1)
    torch.testing.assert_close(mixture.log_prob(table, weights), expected, rtol=1e-12, atol=1e-12)
    constant = torch.logsumexp(table - math.log(6), dim=1)
    torch.testing.assert_close(mixture.log_prob(table, -math.log(6)), constant, rtol=1e-12, atol=1e-12)


def test_gradient() -> None:
    table, weights = random(4, 6).requires_grad_(), random(4, 6, seed=1)
    assert torch.autograd.gradcheck(lambda table: mixture.log_prob(table, weights), (table,))
    assert torch.autograd.gradcheck(lambda table: mixture.log_prob(table, 0.3), (table,))


def test_gradient_where_components_are_far_apart() -> None:
    table = (1e3 * random(4, 6)).float().requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob(table, 0.0).sum(), table)
    torch.testing.assert_close(gradient, torch.softmax(table, dim=1).detach(), rtol=1e-5, atol=1e-30)


def test_no_gradient_reaches_the_weights() -> None:
    table, weights = random(4, 6).requires_grad_(), random(4, 6, seed=1).requires_grad_()
    mixture.log_prob(table, weights).sum().backward()
    assert weights.grad is None
    assert table.grad is not None


def test_a_component_of_density_zero_counts_nothing() -> None:
    table = torch.tensor([[0.0, -math.inf], [-math.inf, 2.0]])
    assert mixture.log_prob(table, 0.0).tolist() == [0, 2]


def test_the_table_is_left_as_it_was() -> None:
    table, weights = random(4, 6), random(4, 6, seed=1)
    before = table.clone(), weights.clone()
    mixture.log_prob(table, weights)
    assert torch.equal(table, before[0])
    assert torch.equal(weights, before[1])
