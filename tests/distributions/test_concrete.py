import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from hfvae_runner.distributions import concrete

LOGITS = torch.tensor([0.4, -1.0, 0.9, 0.0], dtype=torch.float64)


def log_y(*log_odds: float) -> Tensor:
    """A point of the simplex from its log-odds against the last category; d(log-odds) is the density's measure."""
    return torch.log_softmax(torch.tensor([*log_odds, 0.0], dtype=torch.float64), dim=0)


def density(logits: Tensor, temperature: float, *log_odds: float) -> float:
    return concrete.log_prob(log_y(*log_odds), logits, temperature).exp().item()


@pytest.mark.parametrize("temperature", [0.2, 0.66, 1.5])
def test_two_categories_integrate_to_one_and_to_their_probabilities(temperature: float) -> None:
    logits = LOGITS[:2]

    def at(t: float) -> float:
        return density(logits, temperature, t)

    reach = 60 / temperature
    middle = (logits[0] - logits[1]).item() / temperature
    below, _error = scipy.integrate.quad(at, -reach, 0, points=[min(middle, -1e-3)], limit=200)
    above, _error = scipy.integrate.quad(at, 0, reach, points=[max(middle, 1e-3)], limit=200)
    assert below + above == pytest.approx(1, abs=1e-7)
    # The relaxed sample's largest coordinate follows the categorical itself, at any temperature.
    assert above == pytest.approx(torch.softmax(logits, 0)[0].item(), abs=1e-7)


def test_three_categories_integrate_to_one() -> None:
    t = torch.linspace(-40, 40, 1201, dtype=torch.float64)
    first, second = torch.meshgrid(t, t, indexing="ij")
    points = torch.log_softmax(torch.stack([first, second, torch.zeros_like(first)], dim=-1), dim=-1)
    mass = concrete.log_prob(points, LOGITS[:3], 0.66).exp().sum() * (t[1] - t[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-4)


def test_log_density_is_torchs_for_every_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.log_softmax(torch.randn(5, 1, 4, generator=generator, dtype=torch.float64), dim=-1)
    logits = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    expected = ExpRelaxedCategorical(torch.tensor(0.66, dtype=torch.float64), logits=logits)
    found = concrete.log_prob(points, logits, 0.66)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found, expected.log_prob(points.expand(5, 3, 4)), rtol=1e-9, atol=1e-9)


def test_logits_need_no_normalisation() -> None:
    point = log_y(0.3, 1.0, -2.0)
    torch.testing.assert_close(concrete.log_prob(point, LOGITS, 0.66), concrete.log_prob(point, LOGITS + 7, 0.66))


def test_noise_is_gumbel() -> None:
    noise = concrete.gumbel_noise((20_000,), torch.Generator().manual_seed(0), torch.float32)
    assert noise.isfinite().all()
    assert scipy.stats.kstest(noise.numpy(), scipy.stats.gumbel_r.cdf).pvalue > 1e-3


def test_draws_follow_the_categorical() -> None:
    draws = 20_000
    noise = concrete.gumbel_noise((draws, 4), torch.Generator().manual_seed(1), torch.float64)
    logits = LOGITS.expand(draws, 4)
    relaxed = concrete.log_sample(logits, noise, 0.66).argmax(1)
    hard = concrete.hard_log_sample(logits, noise).argmax(1)
    assert torch.equal(relaxed, hard)
    expected = draws * torch.softmax(LOGITS, 0).numpy()
    assert scipy.stats.chisquare(np.bincount(hard.numpy(), minlength=4), expected).pvalue > 1e-3


def test_a_relaxed_sample_lies_on_the_simplex_and_follows_its_density() -> None:
    noise = concrete.gumbel_noise((20_000, 2), torch.Generator().manual_seed(2), torch.float64)
    sample = concrete.log_sample(LOGITS[:2].expand(20_000, 2), noise, 0.66)
    torch.testing.assert_close(sample.exp().sum(1), torch.ones(20_000, dtype=torch.float64))
    t = np.linspace(-60, 60, 4001)
    points = torch.log_softmax(torch.stack([torch.from_numpy(t), torch.zeros(4001)], dim=1), dim=1)
    cdf = scipy.integrate.cumulative_simpson(concrete.log_prob(points, LOGITS[:2], 0.66).exp().numpy(), x=t, initial=0)
    log_odds = (sample[:, 0] - sample[:, 1]).numpy()
    assert scipy.stats.kstest(log_odds, lambda x: np.interp(x, t, cdf)).pvalue > 1e-3


def test_a_hard_sample_is_a_corner() -> None:
    sample = concrete.hard_log_sample(LOGITS, torch.tensor([0, 9.0, 0, 0]))
    assert sample.tolist() == [-math.inf, 0, -math.inf, -math.inf]


def test_cold_samples_do_not_underflow() -> None:
    noise = concrete.gumbel_noise((1000, 4), torch.Generator().manual_seed(3), torch.float32)
    sample = concrete.log_sample(LOGITS.float().expand(1000, 4), noise, 1e-3)
    assert sample.isfinite().all()
    assert concrete.log_prob(sample, LOGITS.float(), 1e-3).isfinite().all()
