"""The multinomial likelihood of a bag of words, given its length; the decoder returns a logit for each word."""

import torch
from torch import Tensor

from hfvae_runner.distributions import multinomial
from hfvae_runner.models.likelihoods._likelihood import Likelihood


class MultinomialLikelihood(Likelihood):
    """Multinomial likelihood n!/∏ count_v! · ∏ p_v^count_v: the probability of the bag, for any word order."""

    name = "multinomial"
    support = "counts"

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        counts = x.flatten(1)
        return multinomial.log_coefficient(counts) + multinomial.log_prob_words(counts, raw[:, 0].flatten(1))

    def mean(self, raw: Tensor) -> Tensor:
        """Return the expected share of each word, raw [B, 1, *] -> [B, *]. The decoder does not model their number."""
        return torch.softmax(raw[:, 0].flatten(1), dim=1).view_as(raw[:, 0])
