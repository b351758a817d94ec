"""The Bernoulli likelihood of pixels; the decoder returns logits."""

import torch
from torch import Tensor

from hfvae_runner.distributions import bernoulli, fused_bernoulli
from hfvae_runner.models.likelihoods._likelihood import Likelihood


class BernoulliLikelihood(Likelihood):
    """Bernoulli likelihood ∏ p^x (1−p)^(1−x).

    For grey values log p(x|z) is the negative cross entropy; it is normalised only for binary values.
    """

    name = "bernoulli"
    support = "unit_interval"

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        x, logits = x.flatten(1), raw[:, 0].flatten(1)
        if fused_bernoulli.supports(logits):
            return fused_bernoulli.log_prob(x, logits)
        return bernoulli.log_prob(x, logits).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw[:, 0])
