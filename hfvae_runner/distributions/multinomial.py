"""Bags of words: counts over a vocabulary of V words, parametrised by logits. Counts are floats."""

import torch
from torch import Tensor


def log_prob_words(counts: Tensor, logits: Tensor) -> Tensor:
    """Σ_v counts_v · log softmax(logits)_v, [..., V] with [..., V] -> [...]. Nats.

    The words drawn one by one, in the order in which they stand: no coefficient counts the orders.
    """
    return (counts * torch.log_softmax(logits, dim=-1)).sum(-1)


def log_coefficient(counts: Tensor) -> Tensor:
    """log(n! / ∏_v counts_v!), n = Σ_v counts_v: the orders that give the same bag, [..., V] -> [...]. Nats."""
    return torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
