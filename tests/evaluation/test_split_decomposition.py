"""A split's metrics, against enumeration on eight examples and against each other on a trained model."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine import train_alone, under_default_priors
from launching import resolved
from scipy.stats import norm
from torch import Tensor, nn

from hfvae_runner.config import schema
from hfvae_runner.data import Split
from hfvae_runner.errors import Diverged
from hfvae_runner.evaluation.decomposition import Encoded, Evaluation, encode, evaluate
from hfvae_runner.latents.aggregate import ExactAggregate
from hfvae_runner.latents.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.latents.evidence import Evidence
from hfvae_runner.latents.priors.isa import isa
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE
from hfvae_runner.runs import assembly
from hfvae_runner.storage.run_folder import RunFolder
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.run import Run

EXACT = 1e9
CPU = torch.device("cpu")
TERMS = ("mutual_information", "group_tc", "within_tc", "dimension_kl")


def encoded(n: int, *blocks: NormalBlock | ConcreteBlock, labels: Tensor | None = None, seed: int = 0) -> Encoded:
    """Random posteriors, one draw each."""
    latents = under_default_priors(*(blocks or (NormalBlock("style", 2), ConcreteBlock("class", 3, 0.66))))
    generator = torch.Generator().manual_seed(seed)
    posterior = [torch.randn(n, block.n_parameters, generator=generator) for block in latents.blocks]
    sample = latents.sample(posterior, latents.noise(n, generator), hard=True)
    return Encoded(latents, posterior, sample, -80 + 5 * torch.randn(n, generator=generator), labels, torch.arange(n))


def evaluated(one: Encoded, exact_limit: float = EXACT) -> dict[str, Any]:
    return evaluate(one, exact_limit).metrics


# Enumeration


def test_every_term_by_enumeration() -> None:
    one = encoded(8)
    style, logits = (each.double().numpy() for each in one.posterior)
    z, category = one.sample[0].double().numpy(), one.sample[1].argmax(1).numpy()
    mean, scale = style[:, :2], np.exp(style[:, 2:])
    pmf = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # q[i, n, f] = q(z_if | x_n): two normal factors and the drawn category.
    q = np.empty((8, 8, 3))
    for i in range(8):
        for n in range(8):
            q[i, n, :2] = norm.pdf(z[i], mean[n], scale[n])
            q[i, n, 2] = pmf[n, category[i]]
    own = np.log(q[range(8), range(8)])
    joint = np.log(q.prod(2).mean(1))
    block = np.log(np.stack([q[..., :2].prod(2).mean(1), q[..., 2].mean(1)], axis=1))
    factor = np.log(q.mean(1))
    prior = np.column_stack([norm.logpdf(z), np.full(8, -math.log(3))])
    kl = np.column_stack(
        [0.5 * (mean**2 + scale**2 - 1) - np.log(scale), (pmf * np.log(pmf)).sum(1) + math.log(3)]
    ).mean(0)
    per_example = own.sum(1) - prior.sum(1)
    expected = {
        "reconstruction": one.log_px.double().mean().item(),
        "elbo": one.log_px.double().mean().item() - kl.sum(),
        "kl": kl.sum(),
        "kl_mc": per_example.mean(),
        "kl_mc_se": per_example.std(ddof=1) / math.sqrt(8),
        "mutual_information": (own.sum(1) - joint).mean(),
        "group_tc": (joint - block.sum(1)).mean(),
        "within_tc": (block.sum(1) - factor.sum(1)).mean(),
        "dimension_kl": (factor - prior).sum(1).mean(),
        "total_correlation": (joint - factor.sum(1)).mean(),
        "marginal_kl": (joint - prior.sum(1)).mean(),
        "block_kl": (block.sum(1) - prior.sum(1)).mean(),
    }
    metrics = evaluated(one)
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, rel=1e-5, abs=1e-5)
    names = ("style[0]", "style[1]", "class")
    assert metrics["kl_per_factor"] == pytest.approx(dict(zip(names, kl, strict=True)), rel=1e-5)
    information = (own - factor).mean(0)
    assert metrics["information_per_factor"] == pytest.approx(dict(zip(names, information, strict=True)), rel=1e-5)
    assert metrics["examples"] == 8
    own_share = np.exp(own.sum(1) - joint).mean() / 8
    how = {"components": 8, "draws": 8, "own_share": pytest.approx(own_share, rel=1e-5)}
    assert metrics["aggregate_posterior"] == how


def test_beyond_the_limit_some_draws_are_scored_against_all_posteriors() -> None:
    one = encoded(200)
    exact, fewer = evaluated(one, 200 * 200 * 3), evaluated(one, 200 * 80 * 3 + 1)
    assert "standard_errors" not in exact["aggregate_posterior"]
    assert exact["aggregate_posterior"]["draws"] == exact["aggregate_posterior"]["components"] == 200
    how = fewer["aggregate_posterior"]
    assert (how["components"], how["draws"]) == (200, 80)
    # What q(z) does not enter is of all examples.
    for key in ("elbo", "kl", "reconstruction", "kl_per_factor", "kl_per_block", "examples"):
        assert fewer[key] == exact[key], key
    assert fewer["kl_mc"] == pytest.approx(sum(fewer[key] for key in TERMS), rel=1e-5)
    for key in (*TERMS, "total_correlation"):
        assert fewer[key] != exact[key]
        assert abs(fewer[key] - exact[key]) < 5 * how["standard_errors"][key]
        assert 0 < how["standard_errors"][key] < 2


def test_a_few_draws_are_the_mean_of_their_own_terms() -> None:
    one = encoded(50)
    evidence = Evidence(
        one.latents,
        [part[:7] for part in one.posterior],
        [part[:7] for part in one.sample],
        one.log_px[:7],
        ExactAggregate(one.latents, one.posterior, [part[:7] for part in one.sample]),
    )
    expected = (evidence.log_qz_x("joint") - evidence.log_qz("joint")).mean().item()
    assert evaluated(one, 50 * 7 * 3)["mutual_information"] == pytest.approx(expected, rel=1e-6)
    # Two at least, however low the limit is: a single one has no standard error.
    assert evaluated(one, 1)["aggregate_posterior"]["draws"] == 2


def test_what_is_not_finite_has_diverged() -> None:
    one = encoded(8)
    one.posterior[0][3, 2] = 60  # a standard deviation whose square overflows
    with pytest.raises(Diverged, match=r"^elbo, kl not finite$"):
        evaluated(one)


# What the prior has and lacks


def under_isa(n: int, labels: Tensor | None = None) -> Encoded:
    latents = isa(size=4, subspaces=2, root_exponent=2.1, exponents=1.5, scale=1.0, learned=False)
    one = encoded(n, *(NormalBlock(block.name, 2) for block in latents.blocks), labels=labels)
    return replace(one, latents=latents)


def test_a_prior_without_marginals_per_factor_says_so() -> None:
    metrics = evaluated(under_isa(30))
    for key in ("within_tc", "dimension_kl", "kl_per_factor"):
        assert metrics[key] is None
        assert metrics[f"{key}_why"] == "the prior has marginals at the level 'block' and none finer"
    assert metrics["kl"] == metrics["kl_mc"] == pytest.approx(sum(metrics["kl_per_block"].values()), rel=1e-5)
    parts = [metrics[key] for key in ("mutual_information", "group_tc", "block_kl")]
    assert sum(parts) == pytest.approx(metrics["kl_mc"], rel=1e-5)
    assert list(metrics["information_per_factor"]) == [f"subspace_{g}[{d}]" for g in (1, 2) for d in (0, 1)]


# Encoding


class Flat(nn.Module):
    """Posterior parameters that are read off the example: means, log σ = −9, and logits."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.full_like(x, -9), 9 * x, torch.zeros_like(x[:, :1])], dim=1)


def mirror() -> VAE:
    latents = under_default_priors(NormalBlock("style", 2), ConcreteBlock("class", 3, 0.66))
    decoder = nn.Sequential(nn.Linear(5, 4), nn.Unflatten(1, (2, 2)))
    return VAE(Networks(Flat(), decoder), latents, GaussianLikelihood(scale="predicted"))


def test_labels_and_draws_follow_the_examples_that_were_shuffled() -> None:
    x = torch.arange(200.0).view(100, 2)
    one = encode(mirror(), Split(x, torch.arange(100)), seed=5, batch_size=7, device=CPU)
    assert one.labels is not None
    assert not torch.equal(one.labels, torch.arange(100)), "shuffled"
    assert torch.equal(one.labels.sort().values, torch.arange(100))
    assert torch.equal(one.posterior[0][:, :2], x[one.labels])
    assert torch.allclose(one.sample[0], x[one.labels], atol=1e-2)
    assert torch.equal(one.sample[1].exp().sum(1), torch.ones(100)), "a categorical draw"
    assert set(one.sample[1].exp().unique().tolist()) == {0, 1}


@pytest.mark.parametrize("batch_size", [1, 7, 50, 1000])
def test_the_batch_size_does_not_change_the_draws(batch_size: int) -> None:
    split = Split(torch.randn(100, 2, generator=torch.Generator().manual_seed(0)))
    model = mirror()
    one, other = (encode(model, split, seed=5, batch_size=size, device=CPU) for size in (100, batch_size))
    for a, b in zip([*one.sample, one.log_px], [*other.sample, other.log_px], strict=True):
        assert torch.allclose(a, b, rtol=1e-5)
    again = encode(model, split, seed=6, batch_size=100, device=CPU)
    assert not torch.allclose(again.log_px, one.log_px)


def test_grey_levels_are_read_as_0_to_1() -> None:
    split = Split(torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8))
    one = encode(mirror(), split, seed=0, batch_size=2, device=CPU)
    assert sorted(one.posterior[0][:, :2].flatten().tolist()) == pytest.approx([0, 0.2, 0.4, 1])


# A trained model


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A trained model of the digits at 8×8."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    small = ("device=cpu", "image_size=8", "batch_size=64", "train.progress=false")
    run = assembly.assemble(schema.parse(resolved(*small, "objective=vae", "steps=300")))
    optimizer = torch.optim.Adam(run.model.parameters(), lr=2e-3)
    state = State(run.model, run.objective, optimizer, torch.Generator().manual_seed(0))
    with RunFolder.create(tmp_path_factory.mktemp("digits") / "run", run.config.resolved) as folder:
        train_alone(run, state, folder)
    yield run
    torch.set_num_threads(before)


def of_digits(run: Run, batch_size: int) -> Evaluation:
    return evaluate(encode(run.model, run.dataset.train, seed=1, batch_size=batch_size, device=CPU), EXACT)


@pytest.fixture(scope="module")
def evaluation(digits: Run) -> Evaluation:
    return of_digits(digits, 1024)


def test_monte_carlo_agrees_with_the_closed_form(evaluation: Evaluation) -> None:
    metrics: dict[str, Any] = evaluation.metrics
    assert metrics["kl"] > 1, "something was learned"
    assert metrics["kl_mc"] == pytest.approx(sum(metrics[name] for name in TERMS), rel=1e-5)
    assert abs(metrics["kl_mc"] - metrics["kl"]) < 4 * metrics["kl_mc_se"]
    assert 0 < metrics["kl_mc_se"] < 0.2
    assert metrics["total_correlation"] == pytest.approx(metrics["group_tc"] + metrics["within_tc"], abs=1e-5)
    assert metrics["elbo"] == pytest.approx(metrics["reconstruction"] - metrics["kl"])
    assert 0 < metrics["mutual_information"] < math.log(1437)
    assert metrics["kl"] == pytest.approx(sum(metrics["kl_per_factor"].values()))


def test_the_encoding_batch_changes_no_number(digits: Run, evaluation: Evaluation) -> None:
    one, other = evaluation.metrics, of_digits(digits, 100).metrics
    for key, value in one.items():
        if isinstance(value, float | dict) and key != "aggregate_posterior":
            assert other[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key


def test_what_the_figures_need(evaluation: Evaluation) -> None:
    metrics: dict[str, Any] = evaluation.metrics
    assert list(evaluation.kl) == pytest.approx(list(metrics["kl_per_factor"].values()))
    assert list(evaluation.information) == pytest.approx(list(metrics["information_per_factor"].values()))


def test_strict_json(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
