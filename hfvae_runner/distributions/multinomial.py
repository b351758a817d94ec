"""The multinomial distribution of word counts over V words, parametrised by logits. Counts are floats."""

import torch
from torch import Tensor


def log_prob_words(counts: Tensor, logits: Tensor) -> Tensor:
    """Return Σ_v counts_v · log softmax(logits)_v, counts and logits [..., V] -> [...]. Nats.

    It is the log-probability of the words in one given order, without the multinomial coefficient.
    """
    return (counts * torch.log_softmax(logits, dim=-1)).sum(-1)


def log_coefficient(counts: Tensor) -> Tensor:
    """Return log(n! / ∏_v counts_v!) with n = Σ_v counts_v, the log-number of word orders, [..., V] -> [...]. Nats."""
    return torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
