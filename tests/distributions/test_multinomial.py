import math
from itertools import product

import pytest
import scipy.stats
import torch
from torch import Tensor

from hfvae_runner.distributions import multinomial

LOGITS = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def bags(size: int) -> Tensor:
    """Every bag of that many words over three, [bags, 3]."""
    found = [bag for bag in product(range(size + 1), repeat=3) if sum(bag) == size]
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("size", [0, 1, 4])
def test_all_bags_of_one_size_sum_to_one(size: int) -> None:
    log_prob = multinomial.log_prob_words(bags(size), LOGITS) + multinomial.log_coefficient(bags(size))
    assert log_prob.shape == (len(bags(size)),)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_with_its_coefficient_it_is_scipys() -> None:
    found = multinomial.log_prob_words(bags(5), LOGITS) + multinomial.log_coefficient(bags(5))
    expected = scipy.stats.multinomial(5, torch.softmax(LOGITS, 0).numpy()).logpmf(bags(5).numpy())
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_words_one_by_one_are_all_sequences() -> None:
    log_p = torch.log_softmax(LOGITS, 0)
    sequence = [0, 2, 2, 1]
    counts = torch.bincount(torch.tensor(sequence), minlength=3).double()
    expected = sum(log_p[word] for word in sequence)
    torch.testing.assert_close(multinomial.log_prob_words(counts, LOGITS), expected)
    assert multinomial.log_coefficient(counts).item() == pytest.approx(math.log(12))


def test_logits_need_no_normalisation() -> None:
    shifted = multinomial.log_prob_words(bags(3), LOGITS + 100)
    torch.testing.assert_close(shifted, multinomial.log_prob_words(bags(3), LOGITS))


def test_batches_and_single_precision() -> None:
    counts = torch.tensor([[2.0, 0, 1], [0, 0, 0]])
    found = multinomial.log_prob_words(counts, LOGITS.float().expand(2, 3))
    assert found.dtype == multinomial.log_coefficient(counts).dtype == torch.float32
    assert found[1] == 0
    assert multinomial.log_coefficient(counts).tolist() == pytest.approx([math.log(3), 0])


def test_gradient_is_counts_minus_expected_counts() -> None:
    counts, logits = torch.tensor([2.0, 0, 1], dtype=torch.float64), LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(multinomial.log_prob_words(counts, logits), logits)
    torch.testing.assert_close(gradient, counts - 3 * torch.softmax(LOGITS, 0))


def test_words_that_cannot_be_stay_finite_where_absent() -> None:
    logits = torch.tensor([0.0, -1e30, 1e30], requires_grad=True)
    value = multinomial.log_prob_words(torch.tensor([0.0, 0, 3]), logits)
    assert value.item() == 0
    assert torch.autograd.grad(value, logits)[0].isfinite().all()
