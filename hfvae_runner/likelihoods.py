"""What a decoder's output means: the likelihoods p(x|z), chosen by the data set.

Shapes: B batch; * the shape of one example; P parameters per value of x.
"""

from typing import Protocol

import torch
from torch import Tensor

from hfvae_runner.distributions import bernoulli, normal


class Likelihood(Protocol):
    """p(x|z) over one example, all of its values independent given the decoder's output."""

    name: str
    parameters_per_value: int

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        """log p(x|z), summed over the example's values: x [B, *], raw [B, P, *] -> [B], nats."""

    def mean(self, raw: Tensor) -> Tensor:
        """E[x|z], for figures: raw [B, P, *] -> [B, *]."""


class BernoulliLikelihood:
    """Pixels as Bernoulli variables; the decoder gives logits."""

    name = "bernoulli"
    parameters_per_value = 1

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return bernoulli.log_prob(x, raw[:, 0]).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw[:, 0])


class NormalLikelihood:
    """Values as normal variables; the decoder gives mean and log standard deviation (α-β paper, App. B)."""

    name = "normal"
    parameters_per_value = 2

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return normal.log_prob(x, raw[:, 0], raw[:, 1]).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw[:, 0]


LIKELIHOODS: dict[str, Likelihood] = {each.name: each for each in (BernoulliLikelihood(), NormalLikelihood())}
