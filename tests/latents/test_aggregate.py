"""Mixtures against sums written out naively, values and gradients, and the streamed exact aggregate against both."""

import math
from collections.abc import Callable

import pytest
import torch
from engine import (
    DENSITIES,
    ESTIMATORS,
    LAYOUTS,
    LEVELS,
    Drawn,
    a_posterior,
    a_sample,
    blocks,
    densities,
    drawn,
    estimators,
    layouts,
    naive_batch_log_q,
    naive_log_q,
    seeds,
    uniform,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity, Estimator, Level
from hfvae_runner.distributions import fused_mixture
from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.latents import aggregate
from hfvae_runner.latents.aggregate import ExactAggregate, MixtureAggregate


@settings(max_examples=40)
@given(layouts, densities, estimators, st.integers(2, 5), st.integers(0, 50), seeds)
def test_every_estimator_is_its_mixture_written_out(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator, size: int, more: int, seed: int
) -> None:
    batch = drawn(blocks(*layout, density=density), size, size + more, seed)
    mixture = batch.aggregate(estimator)
    for level in LEVELS:
        found = mixture.log_prob(level, range(len(layout)))
        torch.testing.assert_close(found, naive_batch_log_q(batch, estimator, level), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_are_those_of_the_mixture_written_out(
    layout: tuple[int, ...], estimator: Estimator, density: DiscreteDensity
) -> None:
    latents = blocks(*layout, density=density)
    posterior = [each.requires_grad_() for each in a_posterior(latents, 4, seed=5)]

    def gradients(log_q: Callable[[Drawn, Level], Tensor]) -> tuple[Tensor, ...]:
        # The samples hang on the parameters too, as they do in training.
        batch = Drawn(latents, posterior, a_sample(latents, posterior, seed=6), 9)
        total = sum((log_q(batch, level).square().sum() for level in LEVELS), start=torch.zeros(()))
        return torch.autograd.grad(total, posterior)

    found = gradients(lambda batch, level: batch.aggregate(estimator).log_prob(level, range(len(layout))))
    expected = gradients(lambda batch, level: naive_batch_log_q(batch, estimator, level))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_two_enumerated_blocks_are_averaged_over_all_combinations() -> None:
    """log q̂(z, k, l) by brute force: three categories times four, for a joint of two variables and a normal block."""
    latents = blocks(-3, 2, -4, density="enumerate")
    batch = drawn(latents, 3, 8)
    weights = torch.full((3, 3), (8 - 1) / (8 * 2), dtype=torch.float64).fill_diagonal_(1 / 8)
    first, second = (torch.softmax(batch.posterior[g], dim=1) for g in (0, 2))
    mean, scale = batch.posterior[1][:, :2], batch.posterior[1][:, 2:].exp()
    expected = torch.zeros(3, dtype=torch.float64)
    for s in range(3):
        normal = torch.distributions.Normal(mean, scale).log_prob(batch.sample[1][s]).sum(1).exp()
        for k in range(3):
            for j in range(4):
                density = (weights[s] * normal * first[:, k] * second[:, j]).sum()
                expected[s] += first[s, k] * second[s, j] * density.log()
    found = batch.aggregate("stratified").log_prob("joint", (0, 1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("chosen", [(0,), (1,), (0, 2), (1, 3)])
@pytest.mark.parametrize("density", DENSITIES)
def test_chosen_blocks_are_marginals(chosen: tuple[int, ...], density: DiscreteDensity) -> None:
    batch = drawn(blocks(2, -3, 1, -2, density=density), 4, 4)
    mixture = batch.aggregate("stratified")
    for level in LEVELS:
        expected = naive_log_q(batch.latents, level, batch.posterior, batch.sample, uniform(4, 4), chosen)
        torch.testing.assert_close(mixture.log_prob(level, chosen), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("density", DENSITIES)
def test_components_a_thousand_apart_do_not_underflow(estimator: Estimator, density: DiscreteDensity) -> None:
    """In float32: exp, sum and log in place of logsumexp would give −inf and no gradient."""
    latents = blocks(3, -3, density=density)
    means = 1e3 * torch.arange(4.0)[:, None].expand(4, 3)
    logits = 1e2 * torch.eye(3)[[0, 1, 2, 0]]
    posterior = [torch.cat([means, torch.full((4, 3), -2.0)], dim=1).requires_grad_(), logits.requires_grad_()]
    # Even the nearest component is far from each sample, and every other one vanishes beside it.
    sample = [means + 300, torch.log_softmax(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), 1)]
    batch = Drawn(latents, posterior, sample, 9)
    doubled = Drawn(latents, [p.detach().double().requires_grad_() for p in posterior], [z.double() for z in sample], 9)
    for level in LEVELS:
        found = batch.aggregate(estimator).log_prob(level, (0, 1))
        expected = naive_batch_log_q(doubled, estimator, level)
        assert found.isfinite().all()
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)
        gradients = torch.autograd.grad(found.sum(), posterior, allow_unused=True)
        reference = torch.autograd.grad(expected.sum(), doubled.posterior, allow_unused=True)
        for gradient, other in zip(gradients, reference, strict=True):
            assert gradient is not None and other is not None
            torch.testing.assert_close(gradient.double(), other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_exact_aggregate_streams_its_tiles(layout: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "_TILE_SAMPLES", 3)
    monkeypatch.setattr(aggregate, "_TILE_COMPONENTS", 4)
    batch = drawn(blocks(*layout), 10, 10, hard=True)
    exact = ExactAggregate(batch.latents, batch.posterior, batch.sample)
    for chosen in (tuple(range(len(layout))), (len(layout) - 1,)):
        for level in LEVELS:
            expected = naive_log_q(batch.latents, level, batch.posterior, batch.sample, uniform(10, 10), chosen)
            torch.testing.assert_close(exact.log_prob(level, chosen), expected, rtol=1e-12, atol=1e-12)


def test_the_exact_aggregate_reads_one_table_for_three_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = drawn(blocks(2, -3), 5, 5)
    exact = ExactAggregate(batch.latents, batch.posterior, batch.sample)
    exact.log_prob("joint", (0, 1))
    monkeypatch.setattr(exact, "_stream", lambda blocks: pytest.fail("streamed twice"))
    exact.log_prob("factor", (0, 1))


def test_the_exact_aggregate_calls_the_kernel_once_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "_TILE_SAMPLES", 3)
    monkeypatch.setattr(aggregate, "_TILE_COMPONENTS", 4)
    fused, calls = fused_mixture._mixture, []
    monkeypatch.setattr(fused_mixture, "_mixture", lambda *inputs: calls.append(len(inputs[0][0])) or fused(*inputs))
    batch = drawn(blocks(2, -3), 7, 7, hard=True)
    posterior, sample = ([each.float() for each in every] for every in (batch.posterior, batch.sample))
    exact = ExactAggregate(batch.latents, posterior, sample)
    for level in LEVELS:
        expected = naive_log_q(batch.latents, level, batch.posterior, batch.sample, uniform(7, 7))
        torch.testing.assert_close(exact.log_prob(level, (0, 1)).double(), expected, rtol=1e-5, atol=1e-5)
    assert calls == [3, 3, 3, 3, 1, 1]


def test_the_exact_aggregate_carries_no_gradient_and_no_enumerated_block() -> None:
    latents = blocks(2, -3)
    posterior = [each.requires_grad_() for each in a_posterior(latents, 5, seed=0)]
    sample = a_sample(latents, posterior, seed=1)
    assert not ExactAggregate(latents, posterior, sample).log_prob("joint", (0, 1)).requires_grad
    with pytest.raises(ValueError, match="enumerated"):
        ExactAggregate(latents.with_density("enumerate"), posterior, sample)


def test_the_exact_aggregate_at_fewer_samples_than_components() -> None:
    batch = drawn(blocks(2, -3), 10, 10, hard=True)
    few = ExactAggregate(batch.latents, batch.posterior, [z[:4] for z in batch.sample])
    every = ExactAggregate(batch.latents, batch.posterior, batch.sample)
    for level in LEVELS:
        torch.testing.assert_close(few.log_prob(level, (0, 1)), every.log_prob(level, (0, 1))[:4], rtol=1e-12, atol=0)


def test_fewer_samples_than_components() -> None:
    latents = blocks(2, -3)
    posterior = a_posterior(latents, 6, seed=0)
    sample = [z[:2] for z in a_sample(latents, posterior, seed=1)]
    query = [parameters[:2] for parameters in posterior]
    for level in LEVELS:
        found = MixtureAggregate(latents, posterior, query, sample, Weights.uniform(-math.log(6))).log_prob(
            level, (0, 1)
        )
        expected = naive_log_q(latents, level, posterior, sample, uniform(2, 6))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_an_enumerated_block_alone_under_one_weight() -> None:
    latents = blocks(-3, density="enumerate")
    posterior = a_posterior(latents, 6, seed=0)
    query = [parameters[:2] for parameters in posterior]
    sample = [torch.zeros(2, 3, dtype=torch.float64)]
    found = MixtureAggregate(latents, posterior, query, sample, Weights.uniform(-math.log(6))).log_prob("joint", (0,))
    q = torch.softmax(posterior[0], dim=1)
    torch.testing.assert_close(found, (q[:2] * q.mean(0).log()).sum(1))


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_large_table_is_cut_into_parts(
    density: DiscreteDensity, estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = blocks(2, -3, density=density)
    posterior = [each.requires_grad_() for each in a_posterior(latents, 7, seed=0)]
    batch = Drawn(latents, posterior, a_sample(latents, posterior, seed=1), 9)
    largest: list[int] = []
    tables = aggregate._Tables._factor_table

    def spied(self: aggregate._Tables, g: int, d: int) -> Tensor:
        table = tables(self, g, d)
        largest.append(len(table))
        return table

    monkeypatch.setattr(aggregate._Tables, "_factor_table", spied)

    def results() -> tuple[Tensor, ...]:
        mixture = batch.aggregate(estimator)
        values = [mixture.log_prob(level, (0, 1)) for level in LEVELS]
        total = torch.stack([value.square().sum() for value in values]).sum()
        return *values, *torch.autograd.grad(total, posterior, retain_graph=True)

    whole = results()
    assert max(largest) == 7
    largest.clear()
    monkeypatch.setattr(aggregate, "_TABLE_SIZE", {"cpu": 3 * 7 * 5})
    torch.testing.assert_close(results(), whole, rtol=1e-12, atol=1e-12)
    assert max(largest) == 3
