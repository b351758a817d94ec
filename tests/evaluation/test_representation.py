"""What the metrics are given, and how their results come together."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from engine import under_default_priors
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data.factors import Grid
from hfvae_runner.evaluation.decomposition import Encoded, encode
from hfvae_runner.evaluation.representation import measure, represented
from hfvae_runner.latents.blocks import ConcreteBlock, NormalBlock
from hfvae_runner.metrics import Metric, Representation, Subject
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE

CPU = torch.device("cpu")
BLOCKS = (ConcreteBlock("class", 3, 0.66), NormalBlock("style", 1), NormalBlock("rest", 2))


class Read(nn.Module):
    """Posterior parameters that are read off the example: [B, 4] -> logits, and means with σ = ½."""

    def forward(self, x: Tensor) -> Tensor:
        half = torch.full_like(x, math.log(0.5))
        return torch.cat([x[:, :3], x[:, :1], half[:, :1], x[:, 1:3], half[:, 1:3]], dim=1)


def model() -> VAE:
    torch.manual_seed(0)
    latents = under_default_priors(*BLOCKS)
    decoder = nn.Sequential(nn.Linear(latents.n_code, 4), nn.Unflatten(1, (1, 4)))
    return VAE(Networks(Read(), decoder), latents, GaussianLikelihood(scale=0.7))


def dataset(n: int = 60, **known: object) -> Dataset:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(3))
    split = Split(x, torch.arange(n) % 3, torch.stack([torch.arange(n) % 4, torch.arange(n) % 2], dim=1).short())
    grid = Grid(("hue", "shape"), (4, 2), ("shape",))
    return Dataset(split, split, "real", label_names=("a", "b", "c"), factors=grid, **known)  # type: ignore[arg-type]


def encoded(data: Dataset, vae: VAE) -> Encoded:
    return encode(vae, data.test, seed=1, batch_size=7, device=CPU)


def test_the_encoding_as_plain_arrays() -> None:
    data, vae = dataset(), model()
    one = represented(encoded(data, vae), data)
    order = encoded(data, vae).order
    x = data.test.x[order].double().numpy()
    # Continuous factors first, whatever the blocks' order.
    assert one.variables == ("style[0]", "rest[0]", "rest[1]", "class")
    assert one.blocks == {"style": slice(0, 1), "rest": slice(1, 3)}
    np.testing.assert_allclose(one.mean, x[:, :3], rtol=1e-6)
    np.testing.assert_allclose(one.scale, 0.5)
    assert np.abs((one.sample - one.mean) / one.scale).max() < 5
    (discrete,) = one.discrete
    np.testing.assert_allclose(discrete.probabilities, torch.softmax(torch.as_tensor(x[:, :3]), 1).numpy(), rtol=1e-5)
    assert discrete.drawn.shape == (60,) and set(discrete.drawn) <= {0, 1, 2}
    assert one.label is not None
    np.testing.assert_array_equal(one.label.values, order.numpy() % 3)
    hue, shape = one.truth
    assert (hue.name, hue.size, hue.nuisance, shape.nuisance) == ("hue", 4, False, True)
    np.testing.assert_array_equal(hue.values, order.numpy() % 4)


def test_attributes_stand_in_for_factors_and_the_label_for_both() -> None:
    x, labels = torch.randn(12, 4), torch.arange(12) % 3
    attributes = torch.arange(12)[:, None] < torch.tensor([3, 7])
    vae = model()
    with_both = Split(x, labels, attributes=attributes)
    names = {"label_names": ("a", "b", "c"), "attribute_names": ("few", "many")}
    of_attributes = Dataset(with_both, with_both, "real", **names)  # type: ignore[arg-type]
    few, many = represented(encoded(of_attributes, vae), of_attributes).truth
    assert (few.name, few.size, int(few.values.sum()), int(many.values.sum())) == ("few", 2, 3, 7)
    labelled = Split(x, labels)
    of_label = Dataset(labelled, labelled, "real", label_names=("a", "b", "c"))
    (truth,) = represented(encoded(of_label, vae), of_label).truth
    assert (truth.name, truth.size, truth.nuisance) == ("label", 3, False)
    bare = Dataset(Split(x), Split(x), "real")
    one = represented(encoded(bare, vae), bare)
    assert (one.truth, one.label) == ((), None)


def measured(metrics: Mapping[str, Metric], batch_size: int = 1000, seed: int = 5) -> dict[str, object]:
    data, vae = dataset(), model()
    one = encoded(data, vae)
    both: tuple[Representation, Representation] = (represented(one, data), represented(one, data))
    return measure(
        metrics, vae, data.test, one, both, name="test", seed=seed, batch_size=batch_size, supervised="class",
        show_progress=False,
    )  # fmt: skip


def drawing(key: str) -> Metric:
    def metric(subject: Subject) -> Mapping[str, object]:
        return {key: float(subject.generator().standard_normal())}

    return metric


def test_a_metric_draws_the_same_whatever_is_measured_before_it() -> None:
    alone = measured({"b": drawing("b")})
    assert measured({"a": drawing("a"), "b": drawing("b")})["b"] == alone["b"]
    assert measured({"a": drawing("a")})["a"] != alone["b"]
    assert measured({"b": drawing("b")}, seed=6) != alone


def test_a_subject_knows_what_it_is() -> None:
    seen: list[Subject] = []

    def look(subject: Subject) -> Mapping[str, object]:
        seen.append(subject)
        return {}

    measured({"look": look})
    assert seen[0].supervised == "class"
    drawn = seen[0].prior_sample(4000, 3)
    assert drawn.shape == (4000, 3)
    np.testing.assert_allclose(drawn.std(0), 1, atol=0.05)
    np.testing.assert_array_equal(drawn, seen[0].prior_sample(4000, 3))


def weights(rows: list[int], draws: int, batch_size: int = 1000) -> np.ndarray:
    found: list[np.ndarray] = []

    def look(subject: Subject) -> Mapping[str, object]:
        found.append(subject.log_weights(np.array(rows), draws, 9))
        return {}

    measured({"look": look}, batch_size)
    return found[0]


def test_importance_weights_by_hand() -> None:
    """Each is log p(x|z) + log p(z) − log q(z|x) of its own example's draw."""
    data, vae = dataset(), model()
    one = encoded(data, vae)
    found = weights([4, 0], draws=3)
    index = torch.tensor([4, 4, 4, 0, 0, 0])
    noise = vae.latents.noise(6, torch.Generator().manual_seed(9))
    x = data.test.x[one.order[index]]
    with torch.no_grad():
        z = vae.latents.sample([part[index] for part in one.posterior], noise, hard=True)
        mean = vae.decode(vae.latents.code(z))[:, 0]
    category = Categorical(logits=x[:, :3])
    style, rest = Normal(x[:, :1], 0.5), Normal(x[:, 1:3], 0.5)
    log_q = category.log_prob(z[0].argmax(1)) + style.log_prob(z[1]).sum(1) + rest.log_prob(z[2]).sum(1)
    prior = Normal(0.0, 1.0)
    log_p = prior.log_prob(z[1]).sum(1) + prior.log_prob(z[2]).sum(1) - math.log(3)
    expected = Normal(mean, 0.7).log_prob(x).sum(1) + log_p - log_q
    np.testing.assert_allclose(found, expected.reshape(2, 3).numpy(), rtol=1e-4)
    assert len(np.unique(found)) == 6


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_changes_no_weight(batch_size: int) -> None:
    np.testing.assert_allclose(weights([4, 0], 3, batch_size), weights([4, 0], 3), rtol=1e-5)
