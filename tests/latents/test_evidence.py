import pytest
import torch
from engine import (
    DENSITIES,
    ESTIMATORS,
    LEVELS,
    blocks,
    component_log_probs,
    drawn,
    naive_log_pz,
    naive_log_qz_x,
    weight_table,
)
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity, Estimator, Level
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.aggregate import Aggregate, ExactAggregate
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.priors.normal import StandardNormal

SIZES = (2, -3, 1)


class Spy:
    """An aggregate posterior that counts what it is asked for."""

    def __init__(self, aggregate: Aggregate) -> None:
        self.aggregate = aggregate
        self.own_log_weight = aggregate.own_log_weight
        self.asked: list[tuple[Level, tuple[int, ...]]] = []

    def log_prob(self, level: Level, blocks: tuple[int, ...]) -> Tensor:
        self.asked.append((level, tuple(blocks)))
        return self.aggregate.log_prob(level, blocks)


def at(level: Level, factors: Tensor, chosen: list[list[int]]) -> Tensor:
    """Values per factor [B, F] at a level, the chosen blocks given as lists of factors."""
    match level:
        case "joint":
            return torch.stack([factors[:, block].sum(1) for block in chosen]).sum(0)
        case "block":
            return torch.stack([factors[:, block].sum(1) for block in chosen], dim=1)
        case "factor":
            return torch.cat([factors[:, block] for block in chosen], dim=1)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("names", "chosen"), [(None, [[0, 1], [2], [3]]), (["b", "c"], [[2], [3]])])
def test_levels_sum_over_their_factors(
    level: Level, names: list[str] | None, chosen: list[list[int]], density: DiscreteDensity
) -> None:
    batch = drawn(blocks(*SIZES, density=density), 5, 9)
    evidence = batch.evidence("stratified")
    log_q = naive_log_qz_x(batch.latents, batch.posterior, batch.sample)
    log_p = naive_log_pz(batch.latents, batch.sample)
    torch.testing.assert_close(evidence.log_qz_x(level, names), at(level, log_q, chosen))
    torch.testing.assert_close(evidence.log_pz(level, names), at(level, log_p, chosen))


@pytest.mark.parametrize("level", LEVELS)
def test_the_divergence_is_in_closed_form(level: Level) -> None:
    batch = drawn(blocks(*SIZES), 5, 9)
    q = torch.softmax(batch.posterior[1], 1)

    def normal_kl(parameters: Tensor) -> Tensor:
        mean, log_scale = parameters.chunk(2, dim=1)
        posterior = torch.distributions.Normal(mean, log_scale.exp())
        return torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))

    discrete = (q * (3 * q).log()).sum(1, keepdim=True)
    factors = torch.cat([normal_kl(batch.posterior[0]), discrete, normal_kl(batch.posterior[2])], dim=1)
    found = batch.evidence("stratified").kl(level)
    torch.testing.assert_close(found, at(level, factors, [[0, 1], [2], [3]]))


def test_a_block_without_a_closed_form_takes_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = drawn(blocks(2, 1), 5, 9)
    monkeypatch.setattr(StandardNormal, "factor_kl", lambda self, parameters: None)
    evidence = batch.evidence("stratified")
    torch.testing.assert_close(evidence.kl("joint"), evidence.log_qz_x("joint") - evidence.log_pz("joint"))


def test_the_aggregate_is_asked_late_and_once() -> None:
    batch = drawn(blocks(*SIZES), 5, 9)
    spy = Spy(batch.aggregate("stratified"))
    evidence = Evidence(batch.latents, batch.posterior, batch.sample, torch.zeros(5), spy)
    evidence.kl("joint"), evidence.log_qz_x("joint"), evidence.log_pz("block")
    assert spy.asked == []
    assert evidence.log_qz("joint") is evidence.log_qz("joint", ["a", "b", "c"])
    evidence.log_qz("joint", ["a"])
    evidence.log_qz("block")
    assert spy.asked == [("joint", (0, 1, 2)), ("joint", (0,)), ("block", (0, 1, 2))]


def test_the_densities_of_a_block_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    latents = blocks(2)
    batch = drawn(latents, 5, 9)
    evidence = batch.evidence("stratified")
    evidence.log_qz_x("joint"), evidence.log_pz("factor"), evidence.kl("joint")
    monkeypatch.setattr(NormalBlock, "log_prob", lambda *args: pytest.fail("computed twice"))
    for method in ("factors", "factor_kl"):
        monkeypatch.setattr(StandardNormal, method, lambda *args: pytest.fail("computed twice"))
    evidence.log_qz_x("factor"), evidence.log_pz("factor"), evidence.kl("joint", ["continuous"])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_own_share_is_the_own_components_part_of_the_mixture(estimator: Estimator) -> None:
    batch = drawn(blocks(2, -3), 4, 9)
    evidence = batch.evidence(estimator)
    assert evidence.own_share() is None
    evidence.log_qz("joint")
    weights = weight_table(estimator, 4, 9)
    pairs = zip(batch.latents.blocks, batch.posterior, batch.sample, strict=True)
    density = torch.cat([component_log_probs(*pair) for pair in pairs], dim=2).sum(2).exp()
    expected = (weights * density).diagonal() / (weights * density).sum(1)
    torch.testing.assert_close(evidence.own_share(), expected)


@pytest.mark.parametrize(("distance", "share"), [(1e3, 1.0), (0.0, 1 / 6)])
def test_the_own_share_over_a_whole_data_set(distance: float, share: float) -> None:
    """Posteriors far from one another see nothing but their own samples; equal ones share alike."""
    latents = blocks(2)
    means = distance * torch.arange(6, dtype=torch.float64)[:, None].expand(6, 2)
    posterior, sample = [torch.cat([means, torch.zeros_like(means)], dim=1)], [means]
    exact = ExactAggregate(latents, posterior, sample)
    evidence = Evidence(latents, posterior, sample, torch.zeros(6), exact)
    evidence.log_qz("joint")
    torch.testing.assert_close(evidence.own_share(), torch.full((6,), share, dtype=torch.float64))


def test_an_unknown_block_is_refused() -> None:
    evidence = drawn(blocks(2), 3, 3).evidence("stratified")
    for ask in (evidence.log_qz_x, evidence.log_qz, evidence.log_pz, evidence.kl):
        with pytest.raises(ConfigError, match="no b block"):
            ask("joint", ["b"])
