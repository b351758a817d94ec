"""A split's metrics, against enumeration on eight examples and against each other on a trained model."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine import under_default_priors
from launching import resolved
from scipy.stats import norm
from torch import Tensor, nn

from hfvae_runner import build, schema
from hfvae_runner.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.datasets import Split
from hfvae_runner.errors import Diverged
from hfvae_runner.evaluate import Encoded, Evaluation, encode, evaluate, factor_is_discrete
from hfvae_runner.likelihoods import GaussianLikelihood
from hfvae_runner.metrics.label_information import binned_label_information, decile_edges
from hfvae_runner.model import VAE
from hfvae_runner.networks import Networks
from hfvae_runner.priors.isa import isa
from hfvae_runner.record import RunFolder
from hfvae_runner.schema import MetricsConfig
from hfvae_runner.state import State
from hfvae_runner.train import Run, train

EXACT = MetricsConfig(exact_limit=1e9, batch_size=64, figures=False)
CPU = torch.device("cpu")
TERMS = ("mutual_information", "group_tc", "within_tc", "dimension_kl")


def encoded(n: int, *blocks: NormalBlock | ConcreteBlock, labels: Tensor | None = None, seed: int = 0) -> Encoded:
    """Random posteriors, one draw each."""
    latents = under_default_priors(*(blocks or (NormalBlock("style", 2), ConcreteBlock("class", 3, 0.66))))
    generator = torch.Generator().manual_seed(seed)
    posterior = [torch.randn(n, block.n_parameters, generator=generator) for block in latents.blocks]
    sample = latents.sample(posterior, latents.noise(n, generator), hard=True)
    return Encoded(latents, posterior, sample, -80 + 5 * torch.randn(n, generator=generator), labels, torch.arange(n))


def evaluated(one: Encoded, settings: MetricsConfig = EXACT, classes: int | None = None) -> dict[str, Any]:
    return evaluate(one, one, settings, n_classes=classes, seed=0).metrics


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
    assert metrics["aggregate_posterior"] == {"estimator": "exact", "own_share": pytest.approx(own_share, rel=1e-5)}


def test_the_batch_estimator_says_so() -> None:
    one = encoded(100)
    metrics = evaluated(one, MetricsConfig(exact_limit=100 * 100 * 3 - 1, batch_size=64, figures=False))
    how = metrics["aggregate_posterior"]
    assert (how["estimator"], how["batch_size"]) == ("stratified", 64)
    assert how["why"] == "N*N*F = 3e+04 is above metrics.exact_limit = 3e+04"
    exact = evaluated(one, MetricsConfig(exact_limit=100 * 100 * 3, batch_size=64, figures=False))
    assert exact["aggregate_posterior"]["estimator"] == "exact"
    # What q(z) does not enter is the same; what it enters is near.
    for key in ("elbo", "kl", "kl_mc", "reconstruction"):
        assert metrics[key] == pytest.approx(exact[key], rel=1e-5)
    for key in TERMS:
        assert metrics[key] == pytest.approx(exact[key], abs=0.2)
        assert metrics[key] != exact[key]


def test_a_batch_of_the_whole_split_is_exact() -> None:
    one = encoded(50)
    batched = evaluated(one, MetricsConfig(exact_limit=1, batch_size=1000, figures=False))
    assert batched["aggregate_posterior"]["batch_size"] == 50
    exact = evaluated(one)
    for key in TERMS:
        assert batched[key] == pytest.approx(exact[key], abs=1e-5)


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


def test_the_structure_of_the_continuous_codes() -> None:
    """Posteriors that are the prior are at no distance from it; one dimension at a time is as sparse as can be."""
    n = 1500
    latents = under_default_priors(NormalBlock("style", 3), ConcreteBlock("class", 3, 0.66))
    posterior = [torch.zeros(n, 6), torch.zeros(n, 3)]
    sample = latents.sample(posterior, latents.noise(n, torch.Generator().manual_seed(1)), hard=True)
    same = evaluated(Encoded(latents, posterior, sample, torch.zeros(n), None, torch.arange(n)))
    assert (same["hoyer"], same["hoyer_unscaled"]) == (None, None)
    assert same["hoyer_why"] == "0 of 3 dimensions vary over the data; expected two or more"
    one_hot = 5 * torch.eye(3).repeat(n // 3, 1)
    apart = [torch.cat([one_hot, torch.full((n, 3), -3.0)], dim=1), posterior[1]]
    sparse = evaluated(Encoded(latents, apart, [one_hot, sample[1]], torch.zeros(n), None, torch.arange(n)))
    assert (sparse["hoyer"], sparse["hoyer_unscaled"]) == (pytest.approx(1), pytest.approx(1))
    for key in ("mmd_imq", "mmd_imq_per_dimension"):
        assert abs(same[key]) < 0.02 < 0.1 < sparse[key]


def test_without_continuous_factors_there_is_no_such_structure() -> None:
    metrics = evaluated(encoded(8, ConcreteBlock("class", 3, 0.66)))
    for key in ("hoyer", "hoyer_unscaled", "mmd_imq", "mmd_imq_per_dimension"):
        assert (metrics[key], metrics[f"{key}_why"]) == (None, "the prior has no continuous factors")


def test_the_supervised_accuracy_takes_category_k_for_label_k() -> None:
    one = encoded(60, labels=torch.arange(60) % 3)
    one.posterior[1][:] = 9 * torch.eye(3)[(torch.arange(60) + 1) % 3]  # every label taken for the next one
    metrics = evaluate(one, one, EXACT, n_classes=3, seed=0, supervised_block="class").metrics
    assert (metrics["supervised_accuracy"], metrics["discrete_accuracy"]) == (0, 1)
    assert "supervised_accuracy" not in evaluated(one, classes=3)


# Labels


def test_without_labels_there_is_a_reason() -> None:
    metrics = evaluated(encoded(8))
    keys = ("label_information", "label_information_permuted", "label_information_gap", "discrete_accuracy")
    for key in (*keys, "discrete_accuracy_majority"):
        assert metrics[key] is None
        assert metrics[f"{key}_why"] == "the data set has no labels"


def test_without_a_discrete_block_there_is_a_reason() -> None:
    metrics = evaluated(encoded(40, NormalBlock("z", 2), labels=torch.arange(40) % 4), classes=4)
    assert metrics["label_information_gap"] is None
    assert metrics["label_information_gap_why"] == "the prior has no discrete variable"
    for key in ("discrete_accuracy", "discrete_accuracy_majority"):
        assert metrics[key] is None
        assert metrics[f"{key}_why"].startswith("the prior has 0 discrete variables")
    assert set(metrics["label_information"]) == {"z[0]", "z[1]"}


def test_two_discrete_blocks_have_no_accuracy_but_a_gap() -> None:
    blocks = (ConcreteBlock("a", 2, 0.66), NormalBlock("z", 1), ConcreteBlock("b", 2, 0.66))
    one = encoded(400, *blocks, labels=torch.arange(400) % 2)
    one.posterior[2][:] = 20.0 * torch.nn.functional.one_hot(torch.arange(400) % 2)
    metrics = evaluated(one, classes=2)
    assert metrics["discrete_accuracy"] is None
    assert metrics["discrete_accuracy_why"].startswith("the prior has 2 discrete variables")
    assert metrics["label_information"]["b"] == pytest.approx(math.log(2), abs=1e-4)
    assert metrics["label_information_gap"] == pytest.approx(
        math.log(2) - metrics["label_information"]["z[0]"], abs=1e-4
    )
    assert factor_is_discrete(one.latents) == [True, False, True]


def test_labels_that_the_code_knows() -> None:
    labels = torch.arange(3000) % 3
    one = encoded(3000, labels=labels)
    one.posterior[1][:] = 20.0 * torch.nn.functional.one_hot((labels + 1) % 3)
    metrics = evaluated(one, classes=3)
    assert metrics["discrete_accuracy"] == metrics["discrete_accuracy_majority"] == 1
    assert metrics["label_information"]["class"] == pytest.approx(math.log(3), abs=1e-4)
    # Random normal codes know nothing of the label: nine degrees of freedom by two, over 2N.
    chance = 9 * 2 / (2 * 3000)
    for name in ("style[0]", "style[1]"):
        assert metrics["label_information"][name] == pytest.approx(chance, abs=chance)
        assert metrics["label_information_permuted"][name] == pytest.approx(chance, rel=0.4)
    assert metrics["label_information_permuted"]["class"] == pytest.approx(4 / (2 * 3000), abs=1e-3)
    best = max(metrics["label_information"][name] for name in ("style[0]", "style[1]"))
    assert metrics["label_information_gap"] == pytest.approx(metrics["label_information"]["class"] - best)


def test_training_deciles_bin_the_test_split() -> None:
    labels = torch.arange(200) % 4
    train, test = encoded(500, seed=1), encoded(200, labels=labels, seed=2)
    metrics = evaluate(test, train, EXACT, n_classes=4, seed=0).metrics
    edges = decile_edges(train.sample[0].numpy())
    expected = binned_label_information(test.sample[0].numpy(), labels.numpy(), edges, 4).sum(0)
    information = metrics["label_information"]
    assert isinstance(information, dict)
    assert [information["style[0]"], information["style[1]"]] == pytest.approx(list(expected))


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
    run = build.assemble(schema.parse(resolved(*small, "objective=vae", "steps=300")))
    optimizer = torch.optim.Adam(run.model.parameters(), lr=2e-3)
    state = State(run.model, run.objective, optimizer, torch.Generator().manual_seed(0))
    with RunFolder.create(tmp_path_factory.mktemp("digits") / "run", run.config.resolved) as folder:
        train(run, state, folder)
    yield run
    torch.set_num_threads(before)


def of_digits(run: Run, batch_size: int) -> Evaluation:
    one = encode(run.model, run.dataset.train, seed=1, batch_size=batch_size, device=CPU)
    return evaluate(one, one, EXACT, n_classes=10, seed=1)


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


def test_a_label_is_known_better_than_by_chance(evaluation: Evaluation) -> None:
    metrics: dict[str, Any] = evaluation.metrics
    real, chance = metrics["label_information"], metrics["label_information_permuted"]
    assert max(real.values()) > 5 * max(chance.values())
    # 81/(2N) for ten deciles by ten classes.
    assert [chance[f"style[{d}]"] for d in range(10)] == pytest.approx([81 / (2 * 1437)] * 10, rel=0.3)
    assert 0.1 <= metrics["discrete_accuracy"] <= metrics["discrete_accuracy_majority"] <= 1


def test_the_encoding_batch_changes_no_number(digits: Run, evaluation: Evaluation) -> None:
    one, other = evaluation.metrics, of_digits(digits, 100).metrics
    for key, value in one.items():
        if isinstance(value, float | dict) and key != "aggregate_posterior":
            assert other[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key


def test_what_the_figures_need(evaluation: Evaluation) -> None:
    metrics: dict[str, Any] = evaluation.metrics
    assert list(evaluation.kl) == pytest.approx(list(metrics["kl_per_factor"].values()))
    assert list(evaluation.information) == pytest.approx(list(metrics["information_per_factor"].values()))
    assert evaluation.label_contributions is not None
    assert evaluation.label_contributions.shape == (10, 11)
    totals = evaluation.label_contributions.sum(0)
    assert list(totals) == pytest.approx(list(metrics["label_information"].values()))


def test_strict_json(evaluation: Evaluation) -> None:
    metrics = evaluation.metrics
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
