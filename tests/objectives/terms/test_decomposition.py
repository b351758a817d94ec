"""The parts and their sums, example by example, and each term against densities written out naively."""

import pytest
import torch
from engine import (
    LAYOUTS,
    blocks,
    densities,
    drawn,
    estimators,
    layouts,
    naive_batch_log_q,
    naive_log_pz,
    naive_log_qz_x,
    per_example,
    seeds,
    under_default_priors,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity, Estimator
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives import terms

PARTS = ("mutual_information", "group_tc", "within_tc", "dimension_kl")
batches = (layouts, densities, estimators, st.integers(2, 5), st.integers(0, 1000), seeds)


def total(names: tuple[str, ...], evidence: Evidence) -> Tensor:
    return torch.stack([per_example(name, evidence) for name in names]).sum(0)


def evidence_of(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator, size: int, more: int, seed: int
) -> Evidence:
    return drawn(blocks(*layout, density=density), size, size + more, seed).evidence(estimator)


@settings(max_examples=100)
@given(*batches)
def test_the_four_parts_sum_to_the_log_ratio_of_posterior_and_prior(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator, size: int, more: int, seed: int
) -> None:
    """Σ = log q(z|x) − log p(z), sample by sample: it telescopes for any q̂."""
    evidence = evidence_of(layout, density, estimator, size, more, seed)
    log_q = naive_log_qz_x(evidence.latents, evidence.posterior, evidence.sample).sum(1)
    log_p = naive_log_pz(evidence.latents, evidence.sample).sum(1)
    torch.testing.assert_close(total(PARTS, evidence), log_q - log_p, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(per_example("kl", evidence, method="monte_carlo"), log_q - log_p, rtol=1e-5, atol=1e-9)


@settings(max_examples=30)
@given(*batches)
def test_coarser_terms_are_sums_of_finer_ones(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator, size: int, more: int, seed: int
) -> None:
    evidence = evidence_of(layout, density, estimator, size, more, seed)
    sums = {
        "marginal_kl": ("group_tc", "within_tc", "dimension_kl"),
        "block_kl": ("within_tc", "dimension_kl"),
        # All of this package's priors factorise.
        "total_correlation": ("group_tc", "within_tc"),
    }
    for name, parts in sums.items():
        torch.testing.assert_close(per_example(name, evidence), total(parts, evidence), rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(*batches)
def test_every_term_is_its_definition(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator, size: int, more: int, seed: int
) -> None:
    """The definitions of design.md and HFVAE Fig. 1 and 3, over densities that are not the package's own."""
    batch = drawn(blocks(*layout, density=density), size, size + more, seed)
    evidence = batch.evidence(estimator)
    log_qz_x = naive_log_qz_x(batch.latents, batch.posterior, batch.sample).sum(1)
    log_pz = naive_log_pz(batch.latents, batch.sample).sum(1)
    joint = naive_batch_log_q(batch, estimator, "joint")
    block = naive_batch_log_q(batch, estimator, "block").sum(1)
    factor = naive_batch_log_q(batch, estimator, "factor").sum(1)
    # The priors factorise, so that their own log-ratios are 0.
    expected = {
        "mutual_information": log_qz_x - joint,
        "group_tc": joint - block,
        "within_tc": block - factor,
        "dimension_kl": factor - log_pz,
        "marginal_kl": joint - log_pz,
        "block_kl": block - log_pz,
        "total_correlation": joint - factor,
    }
    for name, value in expected.items():
        torch.testing.assert_close(per_example(name, evidence), value, rtol=1e-8, atol=1e-8)
        assert terms.bind(name, evidence.latents, {})(evidence, ()).item() == pytest.approx(
            value.mean().item(), rel=1e-8, abs=1e-8
        )


class CorrelatedPrior(Evidence):
    """Evidence whose prior has log p(z) = Σ_d log p(z_d) + 3, and log p(z_g) = Σ_d log p(z_gd) + 1 per block."""

    def log_pz(self, level, blocks=None):  # type: ignore[no-untyped-def]
        return super().log_pz(level, blocks) + {"joint": 3.0, "block": 1.0, "factor": 0.0}[level]


def test_the_correlations_of_the_prior_itself_are_taken_off() -> None:
    batch = drawn(blocks(2, 2), 4, 9)
    plain = batch.evidence("stratified")
    correlated = CorrelatedPrior(batch.latents, batch.posterior, batch.sample, plain.log_px, plain.aggregate)

    def difference(name: str) -> float:
        return (per_example(name, correlated) - per_example(name, plain)).mean().item()

    # Two blocks: log p(z) − Σ_g log p(z_g) is 3 − 2, Σ_g [log p(z_g) − Σ_d log p(z_gd)] is 2.
    changes = {"group_tc": -1, "within_tc": -2, "dimension_kl": 0, "mutual_information": 0, "total_correlation": 0}
    assert {name: difference(name) for name in changes} == pytest.approx(changes)
    # So total_correlation is group_tc + within_tc under a prior that factorises, and only there.
    assert difference("group_tc") + difference("within_tc") != pytest.approx(difference("total_correlation"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_single_block_has_no_total_correlation_between_groups(layout: tuple[int, ...]) -> None:
    evidence = drawn(blocks(*layout), 4, 9).evidence("stratified")
    found = per_example("group_tc", evidence, blocks=["a"])
    torch.testing.assert_close(found, torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("name", [*PARTS, "marginal_kl", "block_kl", "total_correlation", "kl"])
def test_over_some_blocks_a_term_is_that_of_these_blocks_alone(name: str) -> None:
    whole = drawn(blocks(2, -3, 1), 4, 9)
    evidence = whole.evidence("stratified")
    others = under_default_priors(*whole.latents.blocks[1:])
    alone = type(whole)(others, whole.posterior[1:], whole.sample[1:], 9)
    found = per_example(name, evidence, blocks=["b", "c"])
    torch.testing.assert_close(found, per_example(name, alone.evidence("stratified")))
    assert not torch.allclose(found, per_example(name, evidence))
