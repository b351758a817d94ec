from types import SimpleNamespace
from typing import cast

import pytest
import torch
from engine import CPU, blocks, loss_of, naive_log_q, objective_of
from torch import Tensor, nn

from hfvae_runner.config.schema import Config
from hfvae_runner.data import Dataset, Split
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.models.likelihoods import BernoulliLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE
from hfvae_runner.training.batches import Batches
from hfvae_runner.training.run import Run

LATENTS = blocks(2, -3)
N = 11


def tiny() -> VAE:
    """For vectors of 5 bits; encoder outputs: two means, two log standard deviations, three logits."""
    torch.manual_seed(0)
    networks = Networks(nn.Linear(5, 7), nn.Sequential(nn.Linear(5, 5), nn.Unflatten(1, (1, 5))))
    return VAE(networks, LATENTS, BernoulliLikelihood()).double()


def some_x(size: int) -> Tensor:
    return torch.randint(2, (size, 5), generator=torch.Generator().manual_seed(1)).double()


def noise(size: int) -> list[Tensor]:
    return list(LATENTS.noise(size, torch.Generator().manual_seed(2), torch.float64))


def test_the_encoders_outputs_are_shared_out_in_the_order_of_the_blocks() -> None:
    model, x = tiny(), some_x(3)
    raw = model.encoder(x)
    normal, concrete = model.encode(x)
    assert torch.equal(normal, raw[:, :4])
    assert torch.equal(concrete, raw[:, 4:])


def test_forward_scores_its_own_sample() -> None:
    model, x = tiny(), some_x(4)
    evidence = model(x, noise(4), estimator="stratified", n_data=N)
    z, log_y = evidence.sample
    mean, log_scale = evidence.posterior[0].chunk(2, dim=1)
    torch.testing.assert_close(z, mean + log_scale.exp() * noise(4)[0])
    logits = model.decoder(torch.cat([z, log_y.exp()], dim=1))[:, 0]
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(x).sum(1)
    torch.testing.assert_close(evidence.log_px, expected)


def test_the_aggregate_is_of_the_data_set_not_of_the_batch() -> None:
    """q̂ by HFVAE Eq. 6 with N = 11 and B = 4: 1/11 for the own component, 10/33 for each other one."""
    model = tiny()
    evidence: Evidence = model(some_x(4), noise(4), estimator="stratified", n_data=N)
    weights = torch.full((4, 4), 10 / 33, dtype=torch.float64).fill_diagonal_(1 / 11)
    for level in ("joint", "block", "factor"):
        expected = naive_log_q(LATENTS, level, list(evidence.posterior), evidence.sample, weights)
        torch.testing.assert_close(evidence.log_qz(level), expected)


def test_training_estimates_with_the_training_sets_size(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(Split(some_x(N)), Split(some_x(6)), "bernoulli")
    model, built = tiny(), objective_of("hfvae", LATENTS)
    config = cast(Config, SimpleNamespace(precision="fp32"))
    run = Run(config, dataset, model, built, Batches(dataset.train.x, 4, 0), {}, {}, CPU, 1)
    asked: list[dict[str, object]] = []
    forward = model.forward

    def spy(x: Tensor, noise: list[Tensor], **options: object) -> Evidence:
        asked.append(options)
        return forward(x, noise, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "forward", spy)
    run.loss(*run.batches.at(0), noise(4), built.noise(4, torch.Generator()), built.knobs(0, CPU))
    without = {"supervised": None, "averaging": None, "labelled": None, "draws": None}
    assert asked == [{"estimator": "stratified", "n_data": N, **without, "precision": "fp32"}]


def test_every_parameter_learns() -> None:
    model = tiny()
    evidence = model(some_x(4), noise(4), estimator="stratified", n_data=N)
    built = objective_of("hfvae", LATENTS)
    loss_of(built, evidence).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0
