"""Each paper's objective against its equation, on random evidence; and the labels that a few examples are given."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from engine import (
    CPU,
    DENSITIES,
    Drawn,
    a_posterior,
    a_sample,
    blocks,
    drawn,
    loss_of,
    naive_log_pz,
    naive_log_q,
    naive_log_qz_x,
    objective_of,
    per_example,
    weight_table,
)
from launching import resolved
from torch import Tensor
from torch.distributions import Categorical

from hfvae_runner.config.names import DiscreteDensity, Estimator
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.data.supervision import UNLABELLED, Supervised
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.objectives import objective, terms
from hfvae_runner.objectives.objective import Objective


def mean_of(name: str, evidence: Evidence, **options: object) -> Tensor:
    return per_example(name, evidence, **options).mean()


def sampled_kl(evidence: Evidence) -> Tensor:
    return mean_of("kl", evidence, method="monte_carlo")


def drawn_term(name: str, evidence: Evidence, **options: object) -> Tensor:
    """A term with draws of its own, with the numbers that ``loss_of`` gives the first such term of an objective."""
    term = terms.bind(name, evidence.latents, options)
    return term(evidence, term.noise(len(evidence.log_px), torch.Generator().manual_seed(0), torch.float64))


def two_subspaces() -> Latents:
    """Blocks of two factors without marginals per factor."""
    return isa(size=4, subspaces=2, root_exponent=2.1, exponents=1.5, scale=1.0, learned=False).double()


# β-TCVAE and ISA-VAE


@pytest.mark.parametrize("estimator", ["mws", "mss", "stratified"])
@pytest.mark.parametrize("density", DENSITIES)
def test_beta_tcvae_is_its_equation_where_the_prior_factorises(density: DiscreteDensity, estimator: Estimator) -> None:
    """Chen et al. Eq. 4: E[log p(x|z)] − α·I(x; z) − β·TC − γ·Σ_d KL(q(z_d) ‖ p(z_d))."""
    batch = drawn(blocks(2, -3, density=density), 4, 9)
    evidence = batch.evidence(estimator)
    built = objective_of("beta_tcvae", batch.latents, estimator, alpha=0.5, beta=6, gamma=3)
    expected = 0.5 * mean_of("mutual_information", evidence) + 6 * mean_of("total_correlation", evidence)
    expected = expected + 3 * mean_of("dimension_kl", evidence) - evidence.log_px.mean()
    torch.testing.assert_close(loss_of(built, evidence), expected, rtol=1e-7, atol=1e-7)


def test_beta_tcvae_s_estimator_is_a_knob() -> None:
    for estimator in ("mws", "mss", "stratified"):
        assert objective_of("beta_tcvae", blocks(2), estimator=estimator).estimator == estimator
    assert objective_of("beta_tcvae", blocks(2)).estimator == "mws"


def test_a_knob_within_a_sum_may_be_a_schedule() -> None:
    ramp = {"linear": [0, 6, 10]}
    knobs = objective_of("beta_tcvae", blocks(2), beta=ramp).knobs(5, CPU)
    assert knobs[0].tolist() == [1, 1, 3 - 1]
    weights = objective_of("info_vae", blocks(2), alpha={"linear": [0, 1, 10]}, **{"lambda": ramp}).knobs(5, CPU)[0]
    assert weights.tolist() == [1, 1 - 0.5, 0.5 + 3 - 1]


def test_beta_tcvae_needs_a_prior_per_factor_unless_gamma_is_1() -> None:
    """ISA-TCVAE: the KL and (β−1) times the total correlation, over a prior without marginals per factor."""
    batch = drawn(two_subspaces(), 4, 9)
    evidence = batch.evidence("mws")
    found = loss_of(objective_of("beta_tcvae", batch.latents, beta=4), evidence)
    expected = sampled_kl(evidence) + 3 * mean_of("total_correlation", evidence) - evidence.log_px.mean()
    torch.testing.assert_close(found, expected)
    assert {penalty.name for penalty in objective_of("beta_tcvae", batch.latents).penalties} == {
        "reconstruction",
        "kl",
        "total_correlation",
    }
    with pytest.raises(ConfigError, match=r"objective.terms.dimension_kl: .* no marginals per factor"):
        objective_of("beta_tcvae", batch.latents, gamma=2)


def test_isa_vae_is_its_equation() -> None:
    """Stühmer et al. Eq. 12, at the samples: log p(x|z) − β·(log q(z|x) − log p(z))."""
    batch = drawn(two_subspaces(), 4, 9)
    evidence = batch.evidence("stratified")
    log_q = naive_log_qz_x(batch.latents, batch.posterior, batch.sample).sum(1)
    log_p = batch.latents.log_prior("joint", batch.sample)
    expected = (3 * (log_q - log_p) - evidence.log_px).mean()
    torch.testing.assert_close(loss_of(objective_of("isa_vae", batch.latents, beta=3), evidence), expected)


# α-β


def alpha_beta(latents: Latents, *overrides: str) -> Objective:
    spec: Any = resolved("objective=alpha_beta", *overrides)["objective"]
    return objective.build(parse_terms(spec["terms"]), spec["estimator"], latents)


DIVERGENCES = {
    "inclusive_kl": ([], lambda evidence: drawn_term("inclusive_kl", evidence)),
    "exclusive_kl": ([], lambda evidence: mean_of("marginal_kl", evidence)),
    "mmd": (
        ["kernel=imq_per_dimension", "statistic=v"],
        lambda evidence: drawn_term("mmd", evidence, kernel="imq_per_dimension", statistic="v"),
    ),
}


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("name", DIVERGENCES)
def test_alpha_beta_is_its_equation(name: str) -> None:
    """Mathieu et al. Eq. 7: E[log p(x|z)] − β·KL(q(z|x) ‖ p(z)) − α·D(q(z), p(z))."""
    batch = drawn(blocks(2, -3), 4, 9)
    evidence = batch.evidence("stratified")
    options, divergence = DIVERGENCES[name]
    built = alpha_beta(batch.latents, f"divergence={name}", *options, "alpha=5", "beta=0.5")
    expected = 0.5 * mean_of("kl", evidence) + 5 * divergence(evidence) - evidence.log_px.mean()
    torch.testing.assert_close(loss_of(built, evidence), expected, rtol=1e-7, atol=1e-7)


# Objectives of the papers that these are held against


def by_numpy(evidence: Evidence, g: int) -> tuple[np.ndarray, np.ndarray]:
    mean, log_scale = (half.numpy() for half in evidence.posterior[g].chunk(2, dim=1))
    return np.cov(mean.T, bias=True), np.diag((np.exp(log_scale) ** 2).mean(0))


@pytest.mark.parametrize(("name", "second"), [("dip_vae_i", False), ("dip_vae_ii", True)])
def test_dip_vae_is_its_equation(name: str, second: bool) -> None:
    """Kumar et al. Eq. 6 and 7: the lower bound − λ_od·Σ_{i≠j} Cov_ij² − λ_d·Σ_i (Cov_ii − 1)²."""
    batch = drawn(blocks(3, -3), 6, 9)
    evidence = batch.evidence("stratified")
    covariance, variances = by_numpy(evidence, 0)
    covariance = covariance + variances if second else covariance
    off = covariance - np.diag(np.diag(covariance))
    penalty = 4 * (off**2).sum() + 7 * ((np.diag(covariance) - 1) ** 2).sum()
    expected = mean_of("kl", evidence) - evidence.log_px.mean() + penalty
    found = loss_of(objective_of(name, batch.latents, lambda_od=4, lambda_d=7), evidence)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_dip_vae_s_weights_are_the_paper_s_ratios() -> None:
    for name, ratio in (("dip_vae_i", 10), ("dip_vae_ii", 1)):
        weights = {penalty.name: penalty.weight(0) for penalty in objective_of(name, blocks(2)).penalties}
        assert weights["diagonal_covariance"] == ratio * weights["off_diagonal_covariance"]
        built = objective_of(name, blocks(2), lambda_od=3)
        assert {penalty.weight(0) for penalty in built.penalties} == {1, 3, 3 * ratio}


def test_factor_vae_is_its_equation() -> None:
    """Kim & Mnih Eq. 2: the lower bound − γ·TC, TC the critic's; the loss holds the critic's own beside it."""
    batch = drawn(blocks(2, -3), 6, 9)
    evidence = batch.evidence("stratified")
    torch.manual_seed(0)
    built = objective_of("factor_vae", batch.latents, gamma=7).double()
    noise = built.noise(6, torch.Generator().manual_seed(0), torch.float64)
    term = built.penalties[-1].term
    fit = term.fit(evidence, noise[-1])
    assert fit is not None
    expected = mean_of("kl", evidence) - evidence.log_px.mean() + 7 * term(evidence, noise[-1]) + fit
    torch.testing.assert_close(built(evidence, built.knobs(0, CPU), noise)[0], expected)


@pytest.mark.parametrize(("alpha", "weight"), [(0.0, 20.0), (0.25, 3.0), (1.0, 5.0)])
def test_info_vae_is_its_equation(alpha: float, weight: float) -> None:
    """Zhao et al. Eq. 6: E[log p(x|z)] − (1−α)·KL(q(z|x) ‖ p(z)) − (α+λ−1)·MMD²."""
    batch = drawn(blocks(2, -3), 6, 9)
    evidence = batch.evidence("stratified")
    built = objective_of("info_vae", batch.latents, alpha=alpha, **{"lambda": weight})
    discrepancy = drawn_term("mmd", evidence, kernel="rbf", statistic="v")
    expected = (1 - alpha) * mean_of("kl", evidence) + (alpha + weight - 1) * discrepancy - evidence.log_px.mean()
    torch.testing.assert_close(loss_of(built, evidence), expected)
    assert ("kl" in {penalty.name for penalty in built.penalties}) == (alpha != 1)


def test_wae_mmd_is_its_equation() -> None:
    """Tolstikhin et al. Alg. 2: the cost of a reconstruction + λ·MMD², and no KL."""
    batch = drawn(blocks(2, -3), 6, 9)
    evidence = batch.evidence("stratified")
    expected = 30 * drawn_term("mmd", evidence, kernel="imq", statistic="u") - evidence.log_px.mean()
    torch.testing.assert_close(loss_of(objective_of("wae_mmd", batch.latents, **{"lambda": 30}), evidence), expected)


def test_corex_anchor_is_its_row_of_table_1() -> None:
    """HFVAE Table 1: ①+②+③+④−λ②ᵃ, ② of the loss being the mutual information."""
    batch = drawn(blocks(2, -3, 1), 6, 9)
    evidence = batch.evidence("stratified")
    log_q_given_x = evidence.log_qz_x("block")[:, [0, 2]].sum(1)
    anchors = (log_q_given_x - evidence.log_qz("joint", ["a", "c"])).mean()
    expected = mean_of("kl", evidence) - evidence.log_px.mean() - 0.7 * anchors
    for named in (["a", "c"], ["continuous"]):
        built = objective_of("corex_anchor", batch.latents, anchors=named, **{"lambda": 0.7})
        torch.testing.assert_close(loss_of(built, evidence), expected)
    with pytest.raises(ConfigError, match=r"objective.terms.mutual_information.blocks: no stile block"):
        objective_of("corex_anchor", batch.latents, anchors=["stile"])


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("factor_vae", {"gamma": 0}),
        ("dip_vae_i", {"lambda_od": 0, "lambda_d": 0}),
        ("dip_vae_ii", {"lambda_od": 0}),
        ("info_vae", {"alpha": 0, "lambda": 1}),
        ("corex_anchor", {"lambda": 0}),
    ],
)
def test_without_what_it_adds_each_is_the_vae(name: str, knobs: dict[str, float]) -> None:
    batch = drawn(blocks(2, -3), 6, 9)
    evidence = batch.evidence("stratified")
    expected = loss_of(objective_of("vae", batch.latents), evidence)
    built = objective_of(name, batch.latents, **knobs)
    torch.testing.assert_close(loss_of(built, evidence), expected)
    assert len(built.penalties) == 2, "nothing is computed for a weight of 0"


# Semi-supervision


def a_labelled_batch(density: DiscreteDensity = "argmax") -> tuple[Drawn, Evidence, Tensor]:
    """Blocks a (2 factors), b (3 categories) and c (1 factor); examples 0, 2 and 3 of 6 have their label given."""
    latents = blocks(2, -3, 1, density=density)
    posterior = a_posterior(latents, 6, seed=4)
    batch = Drawn(latents, posterior, a_sample(latents, posterior, seed=5), 90)
    labels = torch.tensor([1, UNLABELLED, 0, 2, UNLABELLED, UNLABELLED])
    plain = batch.evidence("stratified")
    evidence = Evidence(
        latents, posterior, batch.sample, plain.log_px, plain.aggregate, supervised=Supervised("b", labels)
    )
    return batch, evidence, labels


def naive_parts(batch: Drawn, chosen: tuple[int, ...]) -> dict[str, Tensor]:
    """HFVAE's four terms over some of the blocks, per example, from densities written out naively."""
    weights = weight_table("stratified", 6, 90)

    def log_q(level: Any) -> Tensor:
        return naive_log_q(batch.latents, level, batch.posterior, batch.sample, weights, chosen)

    columns = [factor for g in chosen for factor in ((0, 1), (2,), (3,))[g]]
    log_qz_x = naive_log_qz_x(batch.latents, batch.posterior, batch.sample)[:, columns].sum(1)
    log_pz = naive_log_pz(batch.latents, batch.sample)[:, columns].sum(1)
    joint, block, factor = log_q("joint"), log_q("block").sum(1), log_q("factor").sum(1)
    return {
        "mutual_information": log_qz_x - joint,
        "group_tc": joint - block,
        "within_tc": block - factor,
        "dimension_kl": factor - log_pz,
        "kl": log_qz_x - log_pz,
    }


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("name", ["mutual_information", "group_tc", "within_tc", "dimension_kl", "kl"])
def test_where_the_label_is_given_a_term_runs_over_the_other_blocks(name: str, density: DiscreteDensity) -> None:
    batch, evidence, labels = a_labelled_batch(density)
    others, everything = naive_parts(batch, (0, 2))[name], naive_parts(batch, (0, 1, 2))[name]
    expected = sum((others if labels[i] >= 0 else everything)[i].item() for i in range(6)) / 6
    options = {"method": "monte_carlo"} if name == "kl" else {}
    found = terms.bind(name, batch.latents, options)(evidence, ())
    assert found.item() == pytest.approx(expected, abs=1e-9)
    # A block of one factor has no total correlation within it.
    assert (abs(found - everything.mean()) > 1e-3) == (name != "within_tc")


def test_a_term_of_the_label_s_block_alone_is_nothing_where_the_label_is_given() -> None:
    batch, evidence, labels = a_labelled_batch()
    divergence = math.log(3) - Categorical(logits=batch.posterior[1]).entropy()
    expected = sum(divergence[i].item() for i in range(6) if labels[i] < 0) / 6
    found = terms.bind("kl", batch.latents, {"blocks": ["discrete"]})(evidence, ())
    assert found.item() == pytest.approx(expected)


def test_the_labels_likelihood_is_that_of_the_given_ones() -> None:
    """Σ log q(y|x) over the labelled examples, over the batch's size."""
    batch, evidence, labels = a_labelled_batch()
    probabilities = batch.posterior[1].softmax(1)
    expected = sum(probabilities[i, label].log().item() for i, label in enumerate(labels.tolist()) if label >= 0) / 6
    term = terms.bind("label_likelihood", batch.latents, {})
    assert term(evidence, ()).item() == pytest.approx(expected)
    assert term(batch.evidence("stratified"), ()).item() == 0
    assert term.sign == -1


def test_semi_supervised_hfvae_is_its_equation() -> None:
    """−log p(x|z) + α·② + β·A + γ·i + ii, over the unlabelled blocks where a label is, − w·log q(y|x)."""
    batch, evidence, labels = a_labelled_batch()
    weights = {"mutual_information": 2.0, "group_tc": 12.0, "within_tc": 4.0, "dimension_kl": 1.0}
    lines = {"reconstruction": 1, **weights, "label_likelihood": 0.1}
    found = loss_of(objective.build(parse_terms(lines), "stratified", batch.latents), evidence)
    others, everything = naive_parts(batch, (0, 2)), naive_parts(batch, (0, 1, 2))
    log_q = batch.posterior[1].log_softmax(1)
    expected = 0.0
    for i, label in enumerate(labels.tolist()):
        parts = others if label >= 0 else everything
        expected += sum(weight * parts[name][i].item() for name, weight in weights.items())
        expected -= evidence.log_px[i].item() + (0.1 * log_q[i, label].item() if label >= 0 else 0.0)
    assert found.item() == pytest.approx(expected / 6)


def test_the_given_labels_send_gradients_to_the_logits() -> None:
    batch, _evidence, labels = a_labelled_batch()
    leaves = [each.requires_grad_() for each in batch.posterior]
    evidence = Evidence(
        batch.latents,
        leaves,
        batch.sample,
        torch.zeros(6),
        batch.aggregate("stratified"),
        supervised=Supervised("b", labels),
    )
    term = terms.bind("label_likelihood", batch.latents, {})
    (gradient,) = torch.autograd.grad(term(evidence, ()), [leaves[1]])
    assert torch.equal(gradient.abs().sum(1) > 0, labels >= 0)
