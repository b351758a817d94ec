"""The weights by their definitions, and the estimators by enumeration of every batch of a data set of six points."""

import math
from itertools import combinations, permutations

import pytest
import torch
from engine import (
    ESTIMATORS,
    LEVELS,
    Drawn,
    a_posterior,
    a_sample,
    blocks,
    drawn,
    naive_log_q,
    per_example,
    uniform,
    weight_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity, Estimator, Level
from hfvae_runner.latents.aggregate import ExactAggregate
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents

N = 6


def test_every_weight_stands_in_its_place() -> None:
    # N = 7 and B = 4, so M = 3: 1/N = 1/7, (N−M)/(N·M) = 4/21, 1/M = 1/3; and (N−1)/(N(B−1)) = 6/21.
    own, star, rest = 1 / 7, 4 / 21, 1 / 3
    mss = [[own, star, rest, rest], [rest, own, star, rest], [rest, rest, own, star], [star, rest, rest, own]]
    torch.testing.assert_close(weight_table("mss", 4, 7), torch.tensor(mss, dtype=torch.float64))
    other = 6 / 21
    stratified = [[own if b == j else other for j in range(4)] for b in range(4)]
    torch.testing.assert_close(weight_table("stratified", 4, 7), torch.tensor(stratified, dtype=torch.float64))
    torch.testing.assert_close(weight_table("mws", 4, 7), torch.full((4, 4), 1 / 28, dtype=torch.float64))


@settings(max_examples=50)
@given(st.sampled_from(ESTIMATORS), st.integers(2, 9), st.integers(0, 10**6))
def test_rows_sum_to_one_and_those_of_mws_to_one_over_n(estimator: Estimator, batch: int, more: int) -> None:
    total = 1 / (batch + more) if estimator == "mws" else 1.0
    expected = torch.full((batch,), total, dtype=torch.float64)
    torch.testing.assert_close(weight_table(estimator, batch, batch + more).sum(1), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n_data", [1, 2, 6])
def test_stratified_weighs_all_alike_in_a_batch_of_everything(n_data: int) -> None:
    torch.testing.assert_close(weight_table("stratified", n_data, n_data), uniform(n_data, n_data))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("batch", "n_data"), [(1, 2), (3, 2)])
def test_a_batch_that_cannot_stand_for_the_data_is_refused(estimator: Estimator, batch: int, n_data: int) -> None:
    with pytest.raises(ValueError, match=f"a batch of {batch} cannot stand for a data set of {n_data}"):
        weight_table(estimator, batch, n_data)


class SixPoints:
    """A data set of six posteriors with a fixed sample of example ``own``, and q̂ of that sample from any batch."""

    own = 2

    def __init__(self, latents: Latents) -> None:
        self.latents = latents
        self.posterior = a_posterior(latents, N, seed=0)
        self.sample = a_sample(latents, self.posterior, seed=1)

    def exact(self, level: Level) -> Tensor:
        z = [each[[self.own]] for each in self.sample]
        return naive_log_q(self.latents, level, self.posterior, z, uniform(1, N))[0].exp()

    def mean_over(self, batches: list[tuple[int, ...]], estimator: Estimator, level: Level) -> Tensor:
        """q̂ of the fixed sample, not its log, averaged over the batches."""
        return torch.stack([self.estimate(batch, estimator, level) for batch in batches]).mean(0)

    def estimate(self, batch: tuple[int, ...], estimator: Estimator, level: Level) -> Tensor:
        posterior, sample = ([each[list(batch)] for each in of_all] for of_all in (self.posterior, self.sample))
        members = Drawn(self.latents, posterior, sample, N)
        chosen = range(len(self.latents.blocks))
        return members.aggregate(estimator).log_prob(level, chosen)[batch.index(self.own)].exp()

    def others(self) -> list[int]:
        return [n for n in range(N) if n != self.own]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("density", ["argmax", "concrete"])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 5, 6])
def test_stratified_is_unbiased_over_all_batches_that_hold_the_example(
    level: Level, density: DiscreteDensity, batch_size: int
) -> None:
    points = SixPoints(blocks(2, -3, density=density))
    batches = [
        (*rest[: i % batch_size], points.own, *rest[i % batch_size :])
        for i, rest in enumerate(combinations(points.others(), batch_size - 1))
    ]
    assert len(batches) == math.comb(N - 1, batch_size - 1)
    mean = points.mean_over(batches, "stratified", level)
    torch.testing.assert_close(mean, points.exact(level), rtol=1e-12, atol=0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_mss_is_unbiased_over_all_ordered_batches_that_hold_the_example(level: Level, batch_size: int) -> None:
    points = SixPoints(blocks(2, -3))
    for place in range(batch_size):
        batches = [(*rest[:place], points.own, *rest[place:]) for rest in permutations(points.others(), batch_size - 1)]
        mean = points.mean_over(batches, "mss", level)
        torch.testing.assert_close(mean, points.exact(level), rtol=1e-12, atol=0)


def test_single_batches_differ_from_the_mean_over_all() -> None:
    """So the enumerations above prove something."""
    points = SixPoints(blocks(2, -3))
    for estimator in ("stratified", "mss"):
        one = points.estimate((0, 1, points.own), estimator, "joint")
        assert abs(one / points.exact("joint") - 1) > 1e-2


@pytest.mark.parametrize("level", LEVELS)
def test_stratified_on_the_whole_data_set_is_exact(level: Level) -> None:
    batch = drawn(blocks(2, -3, 1), N, N)
    exact = naive_log_q(batch.latents, level, batch.posterior, batch.sample, uniform(N, N))
    found = batch.aggregate("stratified").log_prob(level, range(3))
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)


def test_mws_stays_shifted_even_on_the_whole_data_set() -> None:
    batch = drawn(blocks(2, -3, 1), N, N)
    exact = ExactAggregate(batch.latents, batch.posterior, batch.sample)
    evidence = {
        "mws": batch.evidence("mws"),
        "exact": Evidence(batch.latents, batch.posterior, batch.sample, torch.zeros(N), exact),
    }
    factors = len(batch.latents.factor_names)
    for term, shift in {"mutual_information": math.log(N), "total_correlation": (factors - 1) * math.log(N)}.items():
        mws, true = (per_example(term, evidence[name]) for name in ("mws", "exact"))
        torch.testing.assert_close(mws, true + shift, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_weights_count_once_however_many_factors(estimator: Estimator) -> None:
    """With all components the same, q̂ is q(z|x) times the sum of a row's weights, at every level."""
    batch, n_data = 4, 9
    latents = blocks(5, -3, 2)
    posterior = [each.expand(batch, -1) for each in a_posterior(latents, 1, seed=3)]
    members = Drawn(latents, posterior, a_sample(latents, posterior, seed=4), n_data)
    shift = -math.log(n_data) if estimator == "mws" else 0.0
    evidence = members.evidence(estimator)
    for level in LEVELS:
        expected = evidence.log_qz_x(level) + shift
        torch.testing.assert_close(evidence.log_qz(level), expected, rtol=1e-10, atol=1e-10)
