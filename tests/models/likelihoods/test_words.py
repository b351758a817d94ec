"""Bags of words, against scipy and enumeration."""

from itertools import product

import pytest
import scipy.stats
import torch

from hfvae_runner.models.likelihoods import CategoricalLikelihood, MultinomialLikelihood

LOGITS = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
COUNTS = torch.tensor([[0, 2, 1, 0], [5, 0, 0, 0], [1, 1, 1, 3]], dtype=torch.float64)


def test_the_bags_probability() -> None:
    shares = torch.softmax(LOGITS[:, 0], 1).numpy()
    expected = [
        scipy.stats.multinomial.logpmf(counts, int(sum(counts)), share).item()
        for counts, share in zip(COUNTS.numpy(), shares, strict=True)
    ]
    assert MultinomialLikelihood().log_prob(COUNTS, LOGITS).tolist() == pytest.approx(expected)


def test_the_words_probability_one_by_one() -> None:
    log_shares = torch.log_softmax(LOGITS[:, 0], 1)
    one_by_one = [
        sum(log_share[word].item() for word, count in enumerate(counts.int().tolist()) for _ in range(count))
        for counts, log_share in zip(COUNTS, log_shares, strict=True)
    ]
    assert CategoricalLikelihood().log_prob(COUNTS, LOGITS).tolist() == pytest.approx(one_by_one)


def test_all_bags_of_three_words_and_all_sequences_have_probability_1() -> None:
    sequences = torch.tensor(list(product(range(4), repeat=3)))
    counts = torch.nn.functional.one_hot(sequences, 4).sum(1).double()
    one_by_one = CategoricalLikelihood().log_prob(counts, LOGITS[:1].expand(len(counts), 1, 4))
    assert one_by_one.exp().sum().item() == pytest.approx(1)
    bags = counts.unique(dim=0)
    assert len(bags) == 20
    probability = MultinomialLikelihood().log_prob(bags, LOGITS[:1].expand(len(bags), 1, 4)).exp().sum()
    assert probability.item() == pytest.approx(1)


def test_an_empty_bag_is_certain() -> None:
    for likelihood in (CategoricalLikelihood(), MultinomialLikelihood()):
        assert likelihood.log_prob(torch.zeros(3, 4), LOGITS.float()).tolist() == [0, 0, 0]


def test_the_mean_is_each_words_share() -> None:
    for likelihood in (CategoricalLikelihood(), MultinomialLikelihood()):
        assert torch.allclose(likelihood.mean(LOGITS), torch.softmax(LOGITS[:, 0], 1))
