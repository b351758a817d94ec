"""Pixels from 0 to 1, against scipy and torch.distributions."""

import pytest
import scipy.stats
import torch
from torch import distributions

from hfvae_runner.models.likelihoods import BernoulliLikelihood, ContinuousBernoulliLikelihood

LOGITS = torch.randn(6, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
GREY = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_black_and_white() -> None:
    x = GREY.round()
    expected = scipy.stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(LOGITS[:, 0]).numpy()).sum((1, 2))
    assert BernoulliLikelihood().log_prob(x, LOGITS).tolist() == pytest.approx(expected)


def test_the_cross_entropy_of_grey_is_linear_between_black_and_white() -> None:
    bernoulli = BernoulliLikelihood()
    black, white = torch.zeros_like(GREY), torch.ones_like(GREY)
    share = 0.3
    between = share * bernoulli.log_prob(white, LOGITS) + (1 - share) * bernoulli.log_prob(black, LOGITS)
    assert torch.allclose(bernoulli.log_prob(share * white, LOGITS), between)


def test_continuous_bernoulli() -> None:
    reference = distributions.ContinuousBernoulli(logits=LOGITS[:, 0])
    likelihood = ContinuousBernoulliLikelihood()
    assert torch.allclose(likelihood.log_prob(GREY, LOGITS), reference.log_prob(GREY).sum((1, 2)), rtol=1e-6)
    assert torch.allclose(likelihood.mean(LOGITS), reference.mean, rtol=1e-5)


def test_grey_values_have_a_density_that_integrates_to_1() -> None:
    """The midpoint rule over one pixel, for each of two decoder outputs; the cross entropy alone is far from it."""
    x = (torch.arange(10_000, dtype=torch.float64)[:, None] + 0.5) / 10_000
    for logit in (-4.0, 1.5):
        raw = torch.full((10_000, 1, 1), logit, dtype=torch.float64)
        assert ContinuousBernoulliLikelihood().log_prob(x, raw).exp().mean().item() == pytest.approx(1, abs=1e-6)
        assert BernoulliLikelihood().log_prob(x, raw).exp().mean().item() < 0.6


def test_means() -> None:
    raw = torch.tensor([[[0.0, 2.0, -2.0]]])
    assert BernoulliLikelihood().mean(raw)[0].tolist() == pytest.approx([0.5, 0.880797, 0.119203], rel=1e-4)
