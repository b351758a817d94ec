"""KL(p(z) ‖ q(z)) over draws from the prior: by plain sums, in closed form, and through a prior that is learned."""

import math

import pytest
import torch
from engine import (
    DENSITIES,
    LAYOUTS,
    Drawn,
    blocks,
    drawn,
    naive_log_pz,
    naive_log_q,
    standard_error,
    uniform,
)
from learned_prior import LearnedScale
from torch import Tensor

from hfvae_runner.config.names import DiscreteDensity
from hfvae_runner.config.penalties import parse_terms
from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import Noise, NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.objectives import objective, terms
from hfvae_runner.objectives.terms._term import Term


def noise_of(term: Term, batch: int, seed: int = 0) -> list[Noise]:
    return list(term.noise(batch, torch.Generator().manual_seed(seed), torch.float64))


def value_of(batch: Drawn, seed: int = 0, **options: object) -> Tensor:
    term = terms.bind("inclusive_kl", batch.latents, options)
    return term(batch.evidence("stratified"), noise_of(term, len(batch.posterior[0]), seed))


@pytest.mark.parametrize("density", ["argmax", "concrete"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_plain_double_sum(layout: tuple[int, ...], density: DiscreteDensity) -> None:
    """1/B Σ_j [log p(z_j) − log 1/B Σ_i q(z_j|x_i)], by torch.distributions, for 5 draws and 5 examples of 90."""
    batch = drawn(blocks(*layout, density=density), 5, 90)
    generator = torch.Generator().manual_seed(0)
    z = batch.latents.prior_sample(batch.latents.prior_noise(5, generator, torch.float64))
    log_q = naive_log_q(batch.latents, "joint", batch.posterior, z, uniform(5, 5))
    expected = (naive_log_pz(batch.latents, z).sum(1) - log_q).mean()
    torch.testing.assert_close(value_of(batch), expected, rtol=1e-9, atol=1e-9)


def test_an_enumerated_variable_enters_by_the_category_of_the_draw() -> None:
    """A draw from the prior has one."""
    batches = [drawn(blocks(2, -3, density=density), 5, 90) for density in ("argmax", "enumerate")]
    sampled, enumerated = (value_of(batch) for batch in batches)
    torch.testing.assert_close(enumerated, sampled)


def test_over_some_blocks_it_is_that_of_these_alone() -> None:
    whole = drawn(blocks(2, 1), 5, 90)
    z = whole.latents.prior_sample(
        whole.latents.prior_noise(5, torch.Generator().manual_seed(0), torch.float64),
    )
    log_q = naive_log_q(whole.latents, "joint", whole.posterior, z, uniform(5, 5), chosen=[1])
    expected = (naive_log_pz(whole.latents, z)[:, 2:].sum(1) - log_q).mean()
    torch.testing.assert_close(value_of(whole, blocks=["b"]), expected, rtol=1e-9, atol=1e-9)


def test_equal_posteriors_give_the_closed_form() -> None:
    """q(z) = N(m, s²) for every example: KL(N(0, 1) ‖ N(m, s²)) = log s + (1 + m²)/(2s²) − 1/2, a factor each."""
    latents = blocks(2)
    mean, log_scale = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.3, -0.2]).double()
    batch = Drawn(latents, [torch.cat([mean, log_scale]).repeat(50, 1)], [torch.zeros(50, 2)], 50)
    expected = (log_scale + (1 + mean**2) / (2 * (2 * log_scale).exp()) - 0.5).sum()
    values = torch.stack([value_of(batch, seed) for seed in range(200)])
    assert standard_error(values) < 0.03
    assert (values.mean() - expected).abs() < 4 * standard_error(values)


def test_it_approaches_the_closed_form_from_above_as_the_batch_grows() -> None:
    """Means from N(0, 1/2) and variance 1/4: q(z) tends to N(0, 3/4). Small batches overestimate the divergence."""
    scale, latents = math.sqrt(0.75), blocks(1)
    expected = math.log(scale) + 1 / (2 * scale**2) - 0.5
    errors = []
    for size, repeats in ((10, 400), (100, 40), (1000, 8)):
        values = []
        for seed in range(repeats):
            generator = torch.Generator().manual_seed(seed)
            mean = torch.randn(size, 1, generator=generator, dtype=torch.float64) * math.sqrt(0.5)
            posterior = [torch.cat([mean, torch.full_like(mean, math.log(0.5))], dim=1)]
            values.append(value_of(Drawn(latents, posterior, [mean], size), 1000 + seed))
        errors.append(torch.stack(values).mean().item() - expected)
    assert errors[0] > 0.1
    assert 0 < errors[1] < errors[0] / 3
    assert abs(errors[2]) < 0.01


@pytest.mark.parametrize("density", DENSITIES)
def test_the_posterior_gets_gradients(density: DiscreteDensity) -> None:
    batch = drawn(blocks(2, -3, density=density), 6, 90)
    leaves = [each.requires_grad_() for each in batch.posterior]
    for gradient in torch.autograd.grad(value_of(batch), leaves):
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_a_learned_prior_gets_the_gradient_through_its_draws() -> None:
    """d/d log s of KL(N(0, s²) ‖ N(0, 1)) is s² − 1; with z = s·ε it is s²·ε² − 1, draw by draw."""
    prior = LearnedScale(NormalBlock("z", 1), scale=1.7)
    latents = Latents([prior])
    term = terms.bind("inclusive_kl", latents, {})
    noise = noise_of(term, 64)
    batch = Drawn(latents, [torch.zeros(64, 2).double()], [torch.zeros(64, 1).double()], 64)
    (gradient,) = torch.autograd.grad(term(batch.evidence("stratified"), noise), [prior.log_scale])
    (epsilon,) = noise[0]
    torch.testing.assert_close(gradient, (1.7**2 * epsilon**2 - 1).mean())
    assert not list(term.parameters()), "the prior's parameters are the model's, not the term's"


@pytest.mark.parametrize("name", ["inclusive_kl", "mmd"])
def test_a_learned_prior_without_such_draws_is_refused(name: str) -> None:
    stuck = LearnedScale(NormalBlock("style", 1), scale=1.0, reparameterised=False)
    other = blocks(2).priors[0]
    latents = Latents([other, stuck])  # type: ignore[list-item]
    message = rf"objective.terms.{name}.blocks: the prior of style is learned, .* expected a fixed prior"
    with pytest.raises(ConfigError, match=message):
        objective.build(parse_terms({"reconstruction": 1, name: 1}), "stratified", latents)
    # Over the blocks whose prior is fixed, or with a prior that is, there is nothing to refuse.
    terms.bind(name, latents, {"blocks": ["a"]})
    stuck.log_scale.requires_grad_(False)
    terms.bind(name, latents, {})


def test_the_draws_are_as_many_as_the_batch_and_the_prior_s() -> None:
    latents = blocks(2, -3)
    for name in ("inclusive_kl", "mmd"):
        drawn_noise = noise_of(terms.bind(name, latents, {}), 7)
        expected = latents.prior_noise(7, torch.Generator().manual_seed(0), torch.float64)
        for own, other in zip(drawn_noise, expected, strict=True):
            torch.testing.assert_close(own, other)
