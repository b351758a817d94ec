"""The categorical distribution over K categories, parametrised by logits."""

import math

import torch
from torch import Tensor


def log_probs(logits: Tensor) -> Tensor:
    """Return the normalised log-probabilities, [..., K] -> [..., K]. Nats."""
    return torch.log_softmax(logits, dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy H = −Σ_k q_k log q_k, [..., K] -> [...]. Nats; a category of probability 0 contributes 0."""
    log_q = log_probs(logits)
    return -(log_q.exp() * log_q.clamp_min(torch.finfo(log_q.dtype).min)).sum(-1)


def kl(logits: Tensor, other: Tensor) -> Tensor:
    """Return KL(q ‖ q') of two variables, [..., K] -> [...]. Nats; a category with q_k = 0 contributes 0."""
    log_q, log_other = log_probs(logits), log_probs(other)
    finite = torch.finfo(log_q.dtype).min
    return (log_q.exp() * (log_q.clamp_min(finite) - log_other.clamp_min(finite))).sum(-1)


def kl_to_uniform(logits: Tensor) -> Tensor:
    """Return KL(q ‖ uniform over K) = log K − H(q), [..., K] -> [...]. Nats, in [0, log K] (JointVAE, Sec. 3)."""
    return math.log(logits.shape[-1]) - entropy(logits)
