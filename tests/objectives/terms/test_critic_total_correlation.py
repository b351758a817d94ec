"""FactorVAE's critic: the permutation, the two losses, and that neither reaches the other's parameters."""

import math

import pytest
import torch
from engine import CPU, Drawn, blocks, drawn, objective_of
from torch import Tensor, nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.objectives import terms
from hfvae_runner.objectives.terms.critic_total_correlation import CriticTotalCorrelation


def a_term(latents, **options):
    torch.manual_seed(0)
    term = terms.bind("critic_total_correlation", latents, {"hidden": 16, "layers": 2, **options})
    assert isinstance(term, CriticTotalCorrelation)
    return term.double()


def noise_of(term, batch, seed=0):
    return term.noise(batch, torch.Generator().manual_seed(seed), torch.float64)


class Recorder(nn.Module):
    """Keeps what the critic is shown; its logits are two plain sums."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.seen: list[Tensor] = []

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(z)
        return self.scale * torch.stack([z.sum(1), -z.square().sum(1)], dim=1)


def test_every_factor_is_permuted_by_itself_and_a_variable_s_columns_move_together():
    batch = drawn(blocks(2, -3), 50, 90)
    term = a_term(batch.latents)
    term.critic = Recorder()
    term.fit(batch.evidence("stratified"), noise_of(term, 50))
    code, permuted = term.critic.seen
    torch.testing.assert_close(code, batch.latents.code(batch.sample))
    orders = []
    for columns in (slice(0, 1), slice(1, 2), slice(2, 5)):
        own, other = code[:, columns], permuted[:, columns]
        matches = (other[:, None] == own[None]).all(2)
        assert (matches.sum(1) == 1).all(), "a row of another factor's, or of none"
        order = matches.double().argmax(1)
        assert sorted(order.tolist()) == list(range(50))
        orders.append(tuple(order.tolist()))
    assert len({*orders, tuple(range(50))}) == 4


def test_the_permutations_are_fresh_and_uniform():
    """Over 2,000 permutations of 4, each example comes to each place about as often."""
    term = a_term(blocks(1))
    generator = torch.Generator().manual_seed(0)
    places = torch.stack([term.noise(4, generator, torch.float64)[0][0][:, 0] for _ in range(2000)])
    counts = torch.stack([(places == k).sum(0) for k in range(4)])
    assert (counts - 500).abs().max() < 4 * math.sqrt(2000 * 0.25 * 0.75)


def test_value_and_fit_are_their_definitions():
    batch = drawn(blocks(2, -3), 6, 90)
    evidence = batch.evidence("stratified")
    term = a_term(batch.latents)
    noise = noise_of(term, 6)
    code = batch.latents.code(batch.sample)
    ((permutations,),) = noise
    moved = torch.stack([code[permutations[:, f], c] for c, f in enumerate((0, 1, 2, 2, 2))], dim=1)
    of_code, of_moved = term.critic(code).softmax(1), term.critic(moved).softmax(1)
    torch.testing.assert_close(term(evidence, noise), (of_code[:, 0].log() - (1 - of_code[:, 0]).log()).mean())
    expected = -(of_code[:, 0].log().mean() + of_moved[:, 1].log().mean()) / 2
    torch.testing.assert_close(term.fit(evidence, noise), expected)


def evidence_with_gradients(latents, batch=6):
    """Evidence whose sample depends on the posterior, as in training."""
    made = drawn(latents, batch, 90)
    posterior = [each.requires_grad_() for each in made.posterior]
    noise = latents.noise(batch, torch.Generator().manual_seed(5), torch.float64)
    return posterior, Drawn(latents, posterior, latents.sample(posterior, noise), 90).evidence("stratified")


def test_the_fit_reaches_the_critic_only_and_the_value_the_encoder_only():
    posterior, evidence = evidence_with_gradients(blocks(2, -3))
    term = a_term(evidence.latents)
    noise, own = noise_of(term, 6), list(term.parameters())
    for of_posterior in torch.autograd.grad(term(evidence, noise), posterior, retain_graph=True):
        assert of_posterior.abs().sum() > 0
    nothing = torch.autograd.grad(term(evidence, noise), own, allow_unused=True, retain_graph=True)
    assert nothing == (None,) * len(own)
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(term.fit(evidence, noise), own))
    assert not term.fit(evidence, noise).isnan()
    fitted = torch.autograd.grad(term.fit(evidence, noise), posterior, allow_unused=True)
    assert fitted == (None,) * len(posterior)


def test_in_one_loss_each_side_gets_what_it_would_get_alone():
    posterior, evidence = evidence_with_gradients(blocks(2, -3))
    torch.manual_seed(0)
    built = objective_of("factor_vae", evidence.latents, gamma=7).double()
    noise = built.noise(6, torch.Generator().manual_seed(0), torch.float64)
    loss, values = built(evidence, built.knobs(0, CPU), noise)
    term, own = built.penalties[-1].term, list(built.parameters())
    assert isinstance(term, CriticTotalCorrelation)
    of_critic = torch.autograd.grad(loss, own, retain_graph=True)
    torch.testing.assert_close(of_critic, torch.autograd.grad(term.fit(evidence, noise[-1]), own))
    assert not of_critic[0].equal(torch.zeros_like(of_critic[0]))
    rest = evidence.kl("joint").mean() + 7 * term(evidence, noise[-1])
    torch.testing.assert_close(
        torch.autograd.grad(loss, posterior, retain_graph=True), torch.autograd.grad(rest, posterior)
    )
    assert values["term/critic_total_correlation_fit"] == term.fit(evidence, noise[-1]).detach()


def test_the_critic_has_its_own_optimiser_settings():
    built = objective_of("factor_vae", blocks(2, -3))
    (group,) = built.parameter_groups()
    assert (group["lr"], group["betas"]) == (1e-4, (0.5, 0.9))
    # 5 inputs, five layers of 1000, two logits.
    assert sum(parameter.numel() for parameter in group["params"]) == 6000 + 4 * 1_001_000 + 2002
    assert not objective_of("vae", blocks(2)).parameter_groups()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden=0: expected a whole number from 1 on"),
        ({"layers": 1.5}, "layers=1.5: expected a whole number from 1 on"),
        ({"lr": -1}, "lr=-1: expected a number from 0 on"),
        ({"betas": [0.5]}, r"betas=\[0.5\]: expected two numbers from 0 to below 1"),
        ({"betas": [0.5, 1]}, "expected two numbers from 0 to below 1"),
        ({"betas": 0.5}, "expected two numbers from 0 to below 1"),
        ({"betas": [True, 0.5]}, "expected two numbers from 0 to below 1"),
        ({"blocks": ["c"]}, "no c block among the prior's blocks"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        terms.bind("critic_total_correlation", blocks(2, -3), options)


@pytest.mark.usefixtures("one_thread")
def test_it_learns_the_total_correlation_of_a_correlated_gaussian():
    """Unit variances, correlations R: the total correlation is −½ log det R; within 0.05 nats of 0.52 and of 0."""
    latents = blocks(3)
    for correlation in (0.6, 0.0):
        covariance = torch.full((3, 3), correlation).fill_diagonal_(1.0)
        expected = -0.5 * torch.logdet(covariance).item()
        factor = torch.linalg.cholesky(covariance)
        generator = torch.Generator().manual_seed(0)

        def evidence(n, factor=factor, generator=generator):
            z = torch.randn(n, 3, generator=generator) @ factor.T
            empty = drawn(latents, 2, 9)
            return Evidence(latents, empty.posterior, [z], torch.zeros(n), empty.aggregate("stratified"))

        term = a_term(latents, hidden=64).float()
        optimizer = torch.optim.Adam(term.parameters(), lr=3e-3)
        for step in range(300):
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1 - step / 300)
            optimizer.zero_grad()
            term.fit(evidence(512), term.noise(512, generator)).backward()
            optimizer.step()
        with torch.no_grad():
            found = term(evidence(20_000), ()).item()
        assert found == pytest.approx(expected, abs=0.05)
