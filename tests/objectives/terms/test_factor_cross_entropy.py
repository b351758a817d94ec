"""The cross-entropy of given factors: its value, its minimum, and what it does not depend on."""

import math

import pytest
import torch
from torch import Tensor

from hfvae_runner.latents import aggregate
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.known_factors import Assignment, KnownFactors
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.objectives import terms

LATENTS = normal_concrete(continuous=3, categories=4, temperature=0.66, n_classes=None)
ASSIGNMENTS = (Assignment("size", 5, "style[2]", 0, 2), Assignment("kind", 4, "class", 1, 0))
VALUES = torch.tensor([[0, 3], [4, 1], [2, 0]])


def term_of(posterior: list[Tensor], values: Tensor | None = VALUES) -> Tensor:
    """The term of a batch of two unlabelled examples, beside the examples with given factors."""
    own = [torch.zeros(2, block.n_parameters) for block in LATENTS.blocks]
    sample = LATENTS.sample(own, LATENTS.noise(2, torch.Generator().manual_seed(0)))
    q_z = aggregate.from_batch(LATENTS, own, sample, estimator="stratified", n_data=2)
    known = None if values is None else KnownFactors(posterior, values, ASSIGNMENTS)
    evidence = Evidence(LATENTS, own, sample, torch.zeros(2), q_z, known=known)
    return terms.bind("factor_cross_entropy", LATENTS, {})(evidence, ())


def posterior(*, requires_grad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(3, block.n_parameters, generator=generator, requires_grad=requires_grad) for block in LATENTS.blocks
    ]


def test_it_is_its_formula() -> None:
    style, kind = posterior()
    expected = 0.0
    for row, (size, category) in enumerate(VALUES.tolist()):
        probability = 1 / (1 + math.exp(-style[row, 2].item()))
        target = (size + 0.5) / 5
        expected -= target * math.log(probability) + (1 - target) * math.log(1 - probability)
        expected -= torch.log_softmax(kind[row], 0)[category].item()
    assert term_of([style, kind]).item() == pytest.approx(expected / 3, rel=1e-5)


def test_its_minimum_is_the_entropy_of_the_targets() -> None:
    """At mean = logit((v + ½)/V) and at a certain category; the middle value's mean is 0."""
    target = (VALUES[:, 0] + 0.5) / 5
    style = torch.zeros(3, 6)
    style[:, 2] = target.logit()
    style.requires_grad_()
    kind = 100 * torch.nn.functional.one_hot(VALUES[:, 1], 4).float()
    value = term_of([style, kind])
    (gradient,) = torch.autograd.grad(value, style)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-7, rtol=0)
    entropy = -(target * target.log() + (1 - target) * (1 - target).log()).mean()
    assert value.item() == pytest.approx(entropy.item(), rel=1e-6)
    assert style[2, 2] == 0


def test_only_the_means_that_represent_a_factor_have_a_gradient() -> None:
    style, kind = posterior(requires_grad=True)
    gradients = torch.autograd.grad(term_of([style, kind]), [style, kind])
    assert gradients[0].abs().sum(0).nonzero()[:, 0].tolist() == [2]
    assert (gradients[1] != 0).all()


def test_without_given_factors_it_is_0() -> None:
    assert term_of(posterior(), None).item() == 0
