"""Grey values as continuous Bernoulli variables (Loaiza-Ganem & Cunningham 2019); the decoder gives logits."""

from torch import Tensor

from hfvae_runner.distributions import continuous_bernoulli
from hfvae_runner.models.likelihoods._likelihood import Likelihood


class ContinuousBernoulliLikelihood(Likelihood):
    """The Bernoulli cross entropy, normalised over the values from 0 to 1."""

    name = "continuous_bernoulli"
    support = "unit_interval"

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return continuous_bernoulli.log_prob(x, raw[:, 0]).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return continuous_bernoulli.mean(raw[:, 0])
