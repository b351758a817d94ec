"""The continuous Bernoulli likelihood of grey values (Loaiza-Ganem & Cunningham 2019); the decoder returns logits."""

from torch import Tensor

from hfvae_runner.distributions import continuous_bernoulli
from hfvae_runner.models.likelihoods._likelihood import Likelihood


class ContinuousBernoulliLikelihood(Likelihood):
    """Continuous Bernoulli likelihood: ∏ p^x (1−p)^(1−x), normalised over x from 0 to 1."""

    name = "continuous_bernoulli"
    support = "unit_interval"

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return continuous_bernoulli.log_prob(x, raw[:, 0]).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return continuous_bernoulli.mean(raw[:, 0])
