import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hfvae_runner.distributions import categorical

logits = st.lists(st.floats(-20, 20), min_size=2, max_size=6)


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def enumerated(values: list[float]) -> list[float]:
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return [weight / sum(weights) for weight in weights]


@settings(max_examples=50)
@given(logits)
def test_log_probabilities_entropy_and_kl_by_enumeration(values: list[float]) -> None:
    q = enumerated(values)
    assert categorical.log_probs(tensor(values)).exp().tolist() == pytest.approx(q, rel=1e-9)
    entropy = -sum(each * math.log(each) for each in q)
    kl = sum(each * math.log(each * len(q)) for each in q)
    assert categorical.entropy(tensor(values)).item() == pytest.approx(entropy, rel=1e-9, abs=1e-12)
    assert categorical.kl_to_uniform(tensor(values)).item() == pytest.approx(kl, rel=1e-9, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=2, max_size=6))
def test_kl_of_two_by_enumeration(both: list[tuple[float, float]]) -> None:
    one, other = ([pair[side] for pair in both] for side in range(2))
    q, p = enumerated(one), enumerated(other)
    expected = sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
    assert categorical.kl(tensor(one), tensor(other)).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_kl_to_a_uniform_variable_is_a_special_case() -> None:
    values = tensor([1.5, 0, -math.inf])
    assert categorical.kl(values, tensor([0, 0, 0])).item() == pytest.approx(categorical.kl_to_uniform(values).item())
    assert categorical.kl(values, values).item() == 0


def test_kl_lies_between_zero_and_log_k() -> None:
    extremes = torch.tensor([[0.0, 0, 0, 0], [1e3, 0, 0, 0]])
    assert categorical.kl_to_uniform(extremes).tolist() == pytest.approx([0, math.log(4)])


def test_a_category_of_probability_zero_counts_nothing() -> None:
    assert categorical.entropy(tensor([0, 0, -math.inf])).item() == pytest.approx(math.log(2))
    far = torch.tensor([0.0, -1e30], requires_grad=True)
    (gradient,) = torch.autograd.grad(categorical.entropy(far), far)
    assert gradient.tolist() == [0, 0]
