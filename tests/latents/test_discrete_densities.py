"""What each ``discrete_density`` sends to the logits in expectation: nothing, the exact gradient, the relaxed one's."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch
from engine import TEMPERATURE, a_posterior, a_sample, blocks, drawn, per_example, standard_error
from torch import Tensor

from hfvae_runner.distributions.mixture import Weights
from hfvae_runner.latents.aggregate import MixtureAggregate
from hfvae_runner.latents.blocks import Posterior
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.latents import Latents

PARTS = ("mutual_information", "group_tc", "within_tc", "dimension_kl")
# A mean over independent draws lies within this many standard errors, but for one in fifteen thousand.
ERRORS = 4.0


def evidence_of_the_whole(latents: Latents, posterior: Posterior, *, draws: int, seed: int) -> Evidence:
    """``draws`` samples of every example of a data set that is the mixture of ``posterior``, [draws·N] in all."""
    query = [parameters.repeat(draws, 1) for parameters in posterior]
    sample = a_sample(latents, query, seed)
    whole = MixtureAggregate(latents, posterior, query, sample, Weights.uniform(-math.log(len(posterior[0]))))
    return Evidence(latents, query, sample, torch.zeros(len(query[0]), dtype=torch.float64), whole)


def mean_gradients(latents: Latents, posterior: list[Tensor], term: str, discrete: int, draws: int) -> Tensor:
    """The gradient of a term to the discrete block's logits, [30, N, K], from ``draws`` samples each."""
    gradients = []
    for seed in range(30):
        value = per_example(term, evidence_of_the_whole(latents, posterior, draws=draws, seed=seed)).mean()
        (gradient,) = torch.autograd.grad(value, posterior[discrete], materialize_grads=True)
        gradients.append(gradient)
    return torch.stack(gradients)


@pytest.mark.parametrize("term", ["mutual_information", "group_tc", "dimension_kl", "marginal_kl", "total_correlation"])
def test_argmax_presses_on_no_logit_in_expectation(term: str) -> None:
    """E[∇ log q(k|x)] and, under the mixture itself, E[∇ log q(z, k)] are 0, at every level."""
    latents = blocks(1, -3)
    posterior = a_posterior(latents, 4, seed=0)
    posterior[1].requires_grad_()
    gradients = mean_gradients(latents, posterior, term, discrete=1, draws=300)
    tolerance = ERRORS * standard_error(gradients)
    assert (gradients.mean(0).abs() <= tolerance).all()
    # The exact gradient would have been seen.
    exact = mean_gradients(latents.with_density("enumerate"), posterior, term, discrete=1, draws=30).mean(0)
    assert (exact.abs() > 2 * tolerance).any()


def test_argmax_s_gradient_of_one_draw() -> None:
    """∂ log q(k)/∂logit_j = 1[j = k] − q_j: the zero above is an expectation's, not that of a detached density."""
    latents = blocks(-3)
    (logits,) = a_posterior(latents, 4, seed=0)
    logits.requires_grad_()
    (sample,) = a_sample(latents, [logits], seed=1)
    (gradient,) = torch.autograd.grad(latents.blocks[0].log_prob(logits, sample).sum(), logits)
    drawn_category = torch.nn.functional.one_hot(sample.argmax(1), 3)
    torch.testing.assert_close(gradient, drawn_category - torch.softmax(logits.detach(), dim=1))


def test_argmax_has_no_gradient_through_the_relaxed_sample() -> None:
    batch = drawn(blocks(2, -3), 4, 9)
    relaxed = batch.sample[1].detach().requires_grad_()
    evidence = Evidence(
        batch.latents,
        [parameters.requires_grad_() for parameters in batch.posterior],
        [batch.sample[0], relaxed],
        torch.zeros(4),
        MixtureAggregate(
            batch.latents, batch.posterior, batch.posterior, [batch.sample[0], relaxed], Weights.uniform(0.0)
        ),
    )
    total = torch.stack([per_example(term, evidence).sum() for term in PARTS]).sum()
    assert torch.autograd.grad(total, relaxed, allow_unused=True) == (None,)


def closed_forms(logits: Tensor) -> dict[str, Tensor]:
    """A lone variable's terms, as means over the data set, by enumeration of its categories."""
    q = torch.softmax(logits, dim=1)
    marginal = q.mean(0)
    negative_entropy = (q * q.log()).sum(1).mean()
    negative_marginal_entropy = (marginal * marginal.log()).sum()
    return {
        "kl": negative_entropy + math.log(logits.shape[1]),
        "mutual_information": negative_entropy - negative_marginal_entropy,
        "dimension_kl": negative_marginal_entropy + math.log(logits.shape[1]),
    }


@pytest.mark.parametrize("term", ["kl", "mutual_information", "dimension_kl"])
def test_enumerate_is_the_exact_value_and_gradient(term: str) -> None:
    latents = blocks(-4, density="enumerate")
    logits = a_posterior(latents, 5, seed=1)[0].requires_grad_()
    evidence = evidence_of_the_whole(latents, [logits], draws=1, seed=0)
    options = {"method": "monte_carlo"} if term == "kl" else {}
    value, expected = per_example(term, evidence, **options).mean(), closed_forms(logits)[term]
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad(value, logits)
    torch.testing.assert_close(found, torch.autograd.grad(expected, logits), rtol=1e-10, atol=1e-12)


def test_enumerate_s_gradient_of_the_negative_entropy() -> None:
    """∂(−H)/∂logit_k = q_k (log q_k + H)."""
    latents = blocks(-4, density="enumerate")
    logits = a_posterior(latents, 1, seed=2)[0].requires_grad_()
    (found,) = torch.autograd.grad(latents.blocks[0].log_prob(logits, torch.zeros(1, 4)).sum(), logits)
    q = torch.softmax(logits.detach(), dim=1)
    entropy = -(q * q.log()).sum()
    torch.testing.assert_close(found, q * (q.log() + entropy), rtol=1e-12, atol=1e-12)


def test_argmax_and_enumerate_agree_on_the_values() -> None:
    latents = blocks(2, -3)
    posterior = a_posterior(latents, 4, seed=3)
    for term in PARTS:
        sampled, exact = (
            per_example(term, evidence_of_the_whole(latents.with_density(density), posterior, draws=4000, seed=5))
            for density in ("argmax", "enumerate")
        )
        assert (sampled - exact).mean().abs() <= ERRORS * standard_error(sampled - exact)


def relaxed_divergence(log_odds: float) -> float:
    """KL of a binary Concrete from the one with equal weights, integrated over the relaxed sample's log-odds."""

    def log_density(t: np.ndarray, shift: float) -> np.ndarray:
        # The log-odds t of the relaxed sample are (shift + a logistic variable) / temperature.
        u = TEMPERATURE * t - shift
        return math.log(TEMPERATURE) + scipy.special.log_expit(u) + scipy.special.log_expit(-u)

    t = np.linspace(-80, 80, 40_001)
    log_q, log_p = log_density(t, log_odds), log_density(t, 0.0)
    return float(scipy.integrate.simpson(np.exp(log_q) * (log_q - log_p), x=t))


def test_concrete_follows_the_gradient_of_the_integrated_divergence() -> None:
    latents = blocks(-2, density="concrete")
    logits = torch.tensor([[0.9, -0.4]], dtype=torch.float64, requires_grad=True)
    draws = 40_000
    query = logits.expand(draws, 2)
    sample = a_sample(latents, [query], seed=7)
    values = latents.blocks[0].log_prob(query, sample[0]) - latents.log_prior("factor", sample)
    assert abs(values.mean().item() - relaxed_divergence(1.3)) <= ERRORS * standard_error(values).item()
    (gradients,) = torch.autograd.grad(values.sum(), query)
    step = 1e-3
    slope = (relaxed_divergence(1.3 + step) - relaxed_divergence(1.3 - step)) / (2 * step)
    expected = torch.tensor([slope, -slope], dtype=torch.float64)
    assert slope > 0.1
    assert ((gradients.mean(0) - expected).abs() <= ERRORS * standard_error(gradients)).all()
