"""InfoGAN's two terms: their definitions, their optima, and whom each of them trains."""

import math

import pytest
import torch
from engine import blocks, drawn, under_default_priors
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.generated import Generated
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.laplace import laplace
from hfvae_runner.latents.priors.quantised import quantised
from hfvae_runner.latents.priors.student_t import student_t
from hfvae_runner.objectives import terms
from hfvae_runner.objectives.terms._term import Examples, Term
from hfvae_runner.objectives.terms.adversarial import Adversarial

VALUES = 3
LATENTS = blocks(2, -3)


def encoder_of(latents: Latents) -> nn.Module:
    return nn.Linear(VALUES, latents.n_parameters, dtype=torch.float64)


def adversarial(latents: Latents = LATENTS, **options: object) -> Adversarial:
    torch.manual_seed(0)
    term = terms.bind("adversarial", latents, options, Examples((VALUES,), encoder_of))
    assert isinstance(term, Adversarial)
    return term


def information(latents: Latents, **options: object) -> Term:
    return terms.bind("code_information", latents, options)


def evidence_of(generated: Generated, latents: Latents = LATENTS) -> Evidence:
    count = len(generated.data)
    evidence = drawn(latents, count, count + 1).evidence("stratified")
    evidence.generated = generated
    return evidence


def examples(count: int = 5, latents: Latents = LATENTS) -> Generated:
    generator = torch.Generator().manual_seed(3)
    data, x = torch.rand(2, count, VALUES, generator=generator, dtype=torch.float64)
    sample = latents.prior_sample(latents.prior_noise(count, generator, torch.float64), hard=True)
    outputs = torch.randn(count, latents.n_parameters, generator=generator, dtype=torch.float64)
    return Generated(data, x.requires_grad_(), sample, latents.posterior(outputs.requires_grad_()))


def no_noise(term: Term) -> list[Tensor]:
    noise = term.noise(5, torch.Generator().manual_seed(0), torch.float64)
    assert not noise
    return []


def test_value_and_fit_are_their_definitions() -> None:
    term, generated = adversarial(instance_noise=0), examples()
    evidence, noise = evidence_of(generated), no_noise(term)
    of_data = term.discriminator(generated.data).softmax(1)[:, 0]  # D(x), by Goodfellow et al. 2014
    of_generated = term.discriminator(generated.x).softmax(1)[:, 0]
    torch.testing.assert_close(term(evidence, noise), -of_generated.log().mean())
    expected = -(of_data.log().mean() + (1 - of_generated).log().mean()) / 2
    torch.testing.assert_close(term.fit(evidence, noise), expected)


def test_the_value_trains_the_generator_only_and_the_fit_the_discriminator_only() -> None:
    term, generated = adversarial(instance_noise=0), examples()
    evidence, own = evidence_of(generated), list(term.parameters())
    of_x, *of_own = torch.autograd.grad(term(evidence, []), [generated.x, *own], allow_unused=True)
    assert of_x.abs().sum() > 0 and of_own == [None, None]
    of_x, *of_own = torch.autograd.grad(term.fit(evidence, []), [generated.x, *own], allow_unused=True)
    assert of_x is None and all(each.abs().sum() > 0 for each in of_own)


def test_a_discriminator_that_cannot_tell_has_the_cross_entropy_of_a_coin() -> None:
    term, generated = adversarial(instance_noise=0), examples()
    nn.init.zeros_(term.discriminator.weight)
    nn.init.zeros_(term.discriminator.bias)
    for value in (term(evidence_of(generated), []), term.fit(evidence_of(generated), [])):
        assert value.item() == pytest.approx(math.log(2))


def test_instance_noise_is_added_to_all_that_the_discriminator_reads() -> None:
    term, generated = adversarial(instance_noise=0.5), examples()
    ((of_data, of_generated),) = noise = term.noise(5, torch.Generator().manual_seed(0), torch.float64)
    assert of_data.shape == of_generated.shape == (5, VALUES) and not torch.equal(of_data, of_generated)
    moved = Generated(generated.data + of_data / 2, generated.x + of_generated / 2, *([], []))
    torch.testing.assert_close(term(evidence_of(generated), noise), term(evidence_of(moved), []))
    torch.testing.assert_close(term.fit(evidence_of(generated), noise), term.fit(evidence_of(moved), []))


def test_the_discriminator_has_its_own_rates() -> None:
    term = adversarial(lr=0.1, betas=[0.2, 0.3])
    assert term.optimizer_options == {"lr": 0.1, "betas": (0.2, 0.3)}


def sampled(latents: Latents, count: int, seed: int = 0) -> list[Tensor]:
    noise = latents.prior_noise(count, torch.Generator().manual_seed(seed), torch.float64)
    return list(latents.prior_sample(noise, hard=True))


def bound(latents: Latents, sample: list[Tensor], posterior: list[Tensor], **options: object) -> float:
    x = torch.zeros(len(sample[0]), VALUES, dtype=torch.float64)
    term = information(latents, **options)
    return term(evidence_of(Generated(x, x, sample, posterior), latents), []).item()


def test_a_code_that_is_read_exactly_but_for_a_scale_has_its_closed_form() -> None:
    """q(z|x̃) = N(z, s²): E[log q − log p] = ½ − log s for each factor."""
    latents, scale, count = blocks(2), 0.1, 20_000
    (z,) = sample = sampled(latents, count)
    posterior = [torch.cat([z, torch.full_like(z, math.log(scale))], dim=1)]
    standard_error = math.sqrt(2 * 0.5 / count)  # of the mean of Σ_d z_d²/2
    assert abs(bound(latents, sample, posterior) - 2 * (0.5 - math.log(scale))) < 4 * standard_error


def test_a_variable_that_is_read_exactly_has_its_entropy_and_one_that_is_merged_has_less() -> None:
    latents, count = blocks(-4), 20_000
    (log_y,) = sample = sampled(latents, count)
    place = log_y.argmax(1)
    certain = 50 * torch.nn.functional.one_hot(place, 4).double()
    assert bound(latents, sample, [certain]) == pytest.approx(math.log(4), abs=1e-9)
    # Two categories give the same picture: the best q has a half each, and I(c; x̃) = log 4 − ½ log 2 on average.
    merged = 50 * torch.nn.functional.one_hot(place // 2, 2).double().repeat_interleave(2, dim=1)
    assert bound(latents, sample, [merged]) == pytest.approx(math.log(2), abs=1e-9)


def test_an_encoder_that_ignores_the_picture_has_no_information() -> None:
    latents = blocks(2, -3)
    sample = sampled(latents, 7)
    posterior = [torch.zeros(7, 4, dtype=torch.float64), torch.zeros(7, 3, dtype=torch.float64)]
    assert bound(latents, sample, posterior) == pytest.approx(0, abs=1e-12)


def test_blocks_are_chosen_and_noise_is_never_part_of_the_code() -> None:
    latents = under_default_priors(
        NormalBlock("a", 2), ConcreteBlock("b", 3, 0.66), NormalBlock("noise", 4, inferred=False)
    )
    generated = examples(latents=latents)
    values = [
        information(latents, **options)(evidence_of(generated, latents), []).item()
        for options in ({}, {"blocks": ["a"]}, {"blocks": ["b"]}, {"blocks": ["a", "noise"]})
    ]
    assert values[0] == pytest.approx(values[1] + values[2])
    assert values[3] == values[1]
    with pytest.raises(ConfigError, match="blocks: the encoder infers none of them"):
        information(latents, blocks=["noise"])


def test_it_trains_the_encoder_and_is_a_reward() -> None:
    generated = examples()
    term = information(LATENTS)
    assert term.sign == -1
    value = term(evidence_of(generated), [])
    assert all(each.abs().sum() > 0 for each in torch.autograd.grad(value, generated.posterior))


def test_a_relaxed_density_does_not_matter() -> None:
    """The draws are categories, so their probability counts, whatever density the objective has."""
    relaxed = blocks(2, -3, density="concrete")
    generated = examples()
    expected = information(LATENTS)(evidence_of(generated), [])
    torch.testing.assert_close(information(relaxed)(evidence_of(generated, relaxed), []), expected)


def test_priors_that_cannot_be_drawn_with_gradients_or_have_no_density_are_refused() -> None:
    learned = student_t(size=2, nu=3.0, learned=True)
    for refused in (adversarial, information):
        with pytest.raises(ConfigError, match="no gradient passes through its draws"):
            refused(learned)
    information(laplace(size=2, scale=1.0, learned=True))
    points = quantised(size=2, values=3, continuous=0, categories=None, temperature=0.66, n_factors=None)
    with pytest.raises(ConfigError, match="is quantised, and its posterior is a point"):
        information(points)
