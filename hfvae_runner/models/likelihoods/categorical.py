"""The likelihood of a bag of words as a sequence of words; the decoder returns a logit for each vocabulary word."""

import torch
from torch import Tensor

from hfvae_runner.distributions import multinomial
from hfvae_runner.models.likelihoods._likelihood import Likelihood


class CategoricalLikelihood(Likelihood):
    """Categorical likelihood ∏ p_v^count_v: the probability of the words in one order, as used for the perplexity."""

    name = "categorical"
    support = "counts"

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        return multinomial.log_prob_words(x.flatten(1), raw[:, 0].flatten(1))

    def mean(self, raw: Tensor) -> Tensor:
        """Return the expected share of each word, raw [B, 1, *] -> [B, *]. The decoder does not model their number."""
        return torch.softmax(raw[:, 0].flatten(1), dim=1).view_as(raw[:, 0])
