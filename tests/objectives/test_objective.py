"""The objectives that conf/objective spells out, against one another and against the evidence lower bound."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine import (
    CPU,
    DENSITIES,
    ESTIMATORS,
    LAYOUTS,
    OBJECTIVES,
    Drawn,
    a_posterior,
    a_sample,
    blocks,
    drawn,
    loss_of,
    objective_of,
    objective_spec,
    per_example,
    standard_error,
)
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity, Estimator, Level
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.quantised import quantised
from hfvae_runner.objectives import objective
from hfvae_runner.objectives.objective import Objective

# Where the objectives that are sums of sampled terms meet the evidence lower bound.
SAMPLED = {
    "hfvae": {"alpha": 1, "beta": 1, "gamma": 1},
    "beta_tcvae": {"beta": 1},
    "kumar_table1": {"lambda": 1},
    "kim_chen_table1": {"beta": 1},
}
# And those whose divergence is in closed form.
CLOSED = {"vae": {}, "beta_vae": {"beta": 1}, "annealed_vae": {"gamma": 1, "capacity": 0}}


def lower_bound(evidence: Evidence, method: str) -> Tensor:
    """The negative ELBO, by one sample (log q(z|x) − log p(z)) or with the closed form. Nats per example."""
    return (per_example("kl", evidence, method=method) - evidence.log_px).mean()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SAMPLED)
def test_at_weights_of_one_it_is_the_vae_by_monte_carlo(
    name: str, layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator
) -> None:
    """Per draw, not in the mean only: a batch of 2 out of 9."""
    batch = drawn(blocks(*layout, density=density), 2, 9, seed=3)
    found = loss_of(objective_of(name, batch.latents, estimator, **SAMPLED[name]), batch.evidence(estimator))
    torch.testing.assert_close(found, lower_bound(batch.evidence(estimator), "monte_carlo"), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_at_weights_of_one_it_is_the_vae_in_closed_form(name: str, layout: tuple[int, ...]) -> None:
    batch = drawn(blocks(*layout), 4, 9)
    evidence = batch.evidence("stratified")
    found = loss_of(objective_of(name, batch.latents, **CLOSED[name]), evidence)
    torch.testing.assert_close(found, lower_bound(evidence, "closed_form"), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("density", ["argmax", "enumerate"])
@pytest.mark.parametrize("name", SAMPLED)
def test_in_expectation_the_sampled_ones_are_the_closed_form(name: str, density: DiscreteDensity) -> None:
    """The mean of 40 batches with 50 draws for each of 4 examples lies within 4 standard errors of the VAE's loss."""
    latents = blocks(2, -3, 1, density=density)
    posterior = [0.5 * each.repeat(50, 1) for each in a_posterior(latents, 4, seed=0)]
    built = objective_of(name, latents, "stratified", **SAMPLED[name])
    batches = [Drawn(latents, posterior, a_sample(latents, posterior, seed), 10**4) for seed in range(40)]
    losses = torch.stack([loss_of(built, batch.evidence("stratified")) for batch in batches])
    expected = lower_bound(batches[0].evidence("stratified"), "closed_form")
    error = standard_error(losses)
    assert error < 0.05
    assert (losses.mean() - expected).abs() <= 4 * error


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hfvae_with_equal_weights_is_beta_tcvae(
    layout: tuple[int, ...], density: DiscreteDensity, estimator: Estimator
) -> None:
    latents = blocks(*layout, density=density)
    knobs = {"hfvae": {"alpha": 1, "beta": 6, "gamma": 6}, "beta_tcvae": {"beta": 6}, "kim_chen_table1": {"beta": 6}}
    results = {}
    for name, values in knobs.items():
        posterior = [each.requires_grad_() for each in a_posterior(latents, 4, seed=1)]
        batch = Drawn(latents, posterior, a_sample(latents, posterior, seed=2), 9)
        loss = loss_of(objective_of(name, latents, estimator, **values), batch.evidence(estimator))
        results[name] = loss, torch.autograd.grad(loss, posterior)
    torch.testing.assert_close(results["beta_tcvae"], results["hfvae"], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(results["kim_chen_table1"], results["hfvae"], rtol=1e-7, atol=1e-7)


def weighed(weights: Mapping[str, float], evidence: Evidence) -> Tensor:
    """The loss that these weights on plain terms amount to, reconstruction at 1."""
    parts = [weight * per_example(term, evidence).mean() for term, weight in weights.items()]
    return torch.stack(parts).sum() - evidence.log_px.mean()


def test_hfvae_weighs_each_part_by_its_own_knob() -> None:
    """HFVAE Eq. 4: ① + ③ + ii + α·② + β·A + γ·i."""
    batch = drawn(blocks(2, -3, 2), 4, 9)
    evidence = batch.evidence("stratified")
    weights = {"mutual_information": 2.0, "group_tc": 12.0, "within_tc": 4.0, "dimension_kl": 1.0}
    expected = weighed(weights, evidence)
    built = objective_of("hfvae", batch.latents, alpha=2, beta=12, gamma=4)
    torch.testing.assert_close(loss_of(built, evidence), expected)


@pytest.mark.parametrize(
    ("name", "knobs", "weights"),
    [
        ("kumar_table1", {"lambda": 3}, {"mutual_information": 1, "marginal_kl": 3}),
        ("zhao_table1", {"lambda": 3}, {"marginal_kl": 3}),
        ("achille_soatto_table1", {"beta": 3, "gamma": 5}, {"mutual_information": 3, "group_tc": 5, "within_tc": 5}),
        ("kim_chen_table1", {"beta": 3}, {"mutual_information": 1, "group_tc": 3, "within_tc": 3, "dimension_kl": 1}),
    ],
)
def test_the_other_rows_of_table_1(name: str, knobs: dict[str, float], weights: dict[str, float]) -> None:
    batch = drawn(blocks(2, -3, 2), 4, 9)
    evidence = batch.evidence("stratified")
    expected = weighed(weights, evidence)
    torch.testing.assert_close(loss_of(objective_of(name, batch.latents, **knobs), evidence), expected)


class Unasked:
    """An aggregate posterior that nobody may ask."""

    own_log_weight = 0.0

    def log_prob(self, level: Level, blocks: Sequence[int]) -> Tensor:
        raise AssertionError(f"the aggregate posterior was asked for its {level} log-density")


@pytest.mark.parametrize("name", ["vae", "beta_vae", "annealed_vae", "joint_vae"])
def test_closed_form_objectives_do_no_work_over_pairs(name: str) -> None:
    batch = drawn(blocks(2, -3), 4, 9)
    evidence = Evidence(batch.latents, batch.posterior, batch.sample, torch.zeros(4), Unasked())
    assert loss_of(objective_of(name, batch.latents), evidence, step=100).isfinite()


def evidence_with_divergences(*divergences: float) -> Evidence:
    """One normal factor whose KL is as given for each example: N(m, 1) with m²/2 = KL."""
    mean = torch.tensor(divergences, dtype=torch.float64).mul(2).sqrt()[:, None]
    latents = blocks(1)
    posterior = [torch.cat([mean, torch.zeros_like(mean)], dim=1)]
    return Drawn(latents, posterior, [mean], 9).evidence("stratified")


def test_the_target_is_compared_with_the_mean_over_the_batch() -> None:
    """Examples on both sides of C: |mean − C| is 1, the mean of |KL − C| is 3."""
    evidence = evidence_with_divergences(1, 7)
    built = objective_of("annealed_vae", evidence.latents, gamma=10, capacity=5)
    assert loss_of(built, evidence, step=100_000).item() == pytest.approx(10 * 1 - evidence.log_px.mean().item())
    above = objective_of("annealed_vae", evidence.latents, gamma=10, capacity=6, ramp_steps=1000)
    assert loss_of(above, evidence, step=500).item() == pytest.approx(10 * 1 - evidence.log_px.mean().item())


def test_below_its_target_the_divergence_is_pulled_up() -> None:
    posterior = torch.tensor([[1.0, 0.0], [2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    batch = Drawn(blocks(1), [posterior], [posterior[:, :1]], 9)
    for capacity, direction in ((5, -1), (0.5, 1)):
        built = objective_of("annealed_vae", batch.latents, gamma=1, capacity=capacity)
        loss = loss_of(built, batch.evidence("stratified"), step=100_000)
        (gradient,) = torch.autograd.grad(loss, posterior)
        torch.testing.assert_close(gradient[:, 0], direction * posterior.detach()[:, 0] / 2)


def test_joint_vae_is_its_equation() -> None:
    """JointVAE Eq. 7 in the middle of its ramp, each channel against its own capacity."""
    batch = drawn(blocks(2, -10), 4, 9)
    evidence = batch.evidence("stratified")
    knobs = {"gamma": 30, "capacity_continuous": 8, "capacity_discrete": 2, "ramp_steps": 1000}
    built = objective_of("joint_vae", batch.latents, **knobs)
    continuous, discrete = (evidence.kl("joint", [kind]).mean() for kind in ("continuous", "discrete"))
    expected = 30 * (continuous - 2).abs() + 30 * (discrete - 0.5).abs() - evidence.log_px.mean()
    torch.testing.assert_close(loss_of(built, evidence, step=250), expected)


def targets(built: Objective, step: int) -> dict[str, float]:
    return {penalty.name: built.knobs(step, CPU)[1, i].item() for i, penalty in enumerate(built.penalties)}


def test_the_discrete_capacity_stops_at_log_k() -> None:
    """One 10-way variable, JointVAE's MNIST preset: the cap of 2.303 nats is met between steps 11,512 and 11,513."""
    built = objective_of("joint_vae", blocks(2, -10))
    assert targets(built, 11_512)["kl_discrete"] == pytest.approx(5 * 11_512 / 25_000)
    for step in (11_513, 25_000, 10**6):
        assert targets(built, step)["kl_discrete"] == pytest.approx(math.log(10))
    assert targets(built, 25_000)["kl_continuous"] == 5
    # Several variables can hold the sum of their logarithms.
    assert targets(objective_of("joint_vae", blocks(2, -2, -3)), 25_000)["kl_discrete"] == pytest.approx(math.log(6))


def test_knobs_are_the_weights_and_targets_of_a_step() -> None:
    built = objective_of("joint_vae", blocks(2, -10), gamma={"linear": [0, 30, 100]})
    knobs = built.knobs(50, CPU)
    assert knobs.shape == (2, 3)
    assert [penalty.name for penalty in built.penalties] == ["reconstruction", "kl_continuous", "kl_discrete"]
    torch.testing.assert_close(knobs, torch.tensor([[1.0, 15, 15], [0, 0.01, 0.01]]))
    assert not knobs.requires_grad


def test_the_values_are_the_plain_terms() -> None:
    batch = drawn(blocks(2, -3), 4, 9)
    batch.posterior[0].requires_grad_()
    evidence = batch.evidence("stratified")
    built = objective_of("joint_vae", batch.latents)
    loss, values = built(evidence, built.knobs(0, CPU), built.noise(4, torch.Generator()))
    assert loss.requires_grad
    assert not any(value.requires_grad for value in values.values())
    assert values["term/reconstruction"].item() == pytest.approx(-80)
    assert values["term/kl_discrete"].item() == pytest.approx(evidence.kl("joint", ["discrete"]).mean().item())


# InfoGAN trains the encoder on generated examples: tests/objectives/terms/test_generated_terms.py.
ON_DATA = sorted(path for path in OBJECTIVES.glob("*.yaml") if path.stem != "infogan")


@pytest.mark.parametrize("path", ON_DATA, ids=lambda path: path.stem)
def test_every_objective_sends_finite_gradients(path: Path) -> None:
    spec = objective_spec(path.stem)
    # QLAE's losses are of quantised factors.
    options: dict[str, Any] = {"size": 2, "values": 3, "continuous": 0, "categories": None, "temperature": 0.66}
    needs_codebooks = "quantisation" in spec["terms"]
    latents = (
        quantised(**options, n_factors=None) if needs_codebooks else blocks(2, -3, density=spec["discrete_density"])
    )
    posterior = [each.requires_grad_() for each in a_posterior(latents, 4, seed=1)]
    built = objective_of(path.stem, latents)
    evidence = Drawn(latents, posterior, a_sample(latents, posterior, seed=2), 9).evidence(built.estimator)
    loss = loss_of(built, evidence, step=1)
    for gradient in torch.autograd.grad(loss, posterior):
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"kl": {"blocks": ["stile"]}}, r"objective.terms.kl.blocks: no stile block among the prior's blocks \(a, b\)"),
        ({"kl": {"blocks": "a"}}, "objective.terms.kl.blocks='a': expected a list of block names"),
        ({"kl": {"blocks": []}}, "expected a list of block names"),
        ({"kl": {"blocks": [1]}}, "expected a list of block names"),
        ({"kl": {"method": "exact"}}, "objective.terms.kl.method='exact': expected one of closed_form, monte_carlo"),
        ({"kl": {"target": 5, "cap": "log_categories"}}, "log_categories needs `blocks` that are all discrete"),
        (
            {"kl": {"target": 5, "cap": "log_categories", "blocks": ["continuous"]}},
            "objective.terms.kl.cap: log_categories needs `blocks` that are all discrete",
        ),
    ],
)
def test_what_does_not_fit_the_prior_is_refused(line: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        objective.build(parse_terms({"reconstruction": 1, **line}), "stratified", blocks(2, -3))


@pytest.mark.parametrize("latents", [blocks(2), blocks(-3)], ids=["normal", "concrete"])
def test_joint_vae_needs_both_kinds_of_blocks(latents: Latents) -> None:
    with pytest.raises(ConfigError, match=r"no (discrete|continuous) block"):
        objective_of("joint_vae", latents)
