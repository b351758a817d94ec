"""What is said of a model of documents: perplexities by hand, topics that are planted, and a whole run."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine import under_default_priors
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from hfvae_runner.data import Dataset, SparseCounts, Split
from hfvae_runner.distributions import multinomial
from hfvae_runner.evaluation import document_models
from hfvae_runner.evaluation.decomposition import Encoded, encode, evaluate
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.models.likelihoods import CategoricalLikelihood, MultinomialLikelihood
from hfvae_runner.models.networks import Networks, TopicDecoder
from hfvae_runner.models.vae import VAE

CPU = torch.device("cpu")
WORDS = tuple(f"word{v:02d}" for v in range(24))
ATTRIBUTES = ("even", "late")


def documents(n: int = 40) -> Dataset:
    """Documents of the first or of the last twelve words."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((n, 24), 1.5), generator=generator)
    counts[::2, 12:] = 0
    counts[1::2, :12] = 0
    late = torch.arange(n) % 2 == 1
    x = SparseCounts.from_scipy(csr_matrix(counts.numpy()))
    split = Split(x, labels=late.long(), attributes=torch.stack([torch.arange(n) % 4 < 2, late], dim=1))
    return Dataset(split, split, "counts", ("a", "b"), vocabulary=WORDS, attribute_names=ATTRIBUTES)


class Sided(nn.Module):
    """Means that tell the two kinds of documents apart in the first factor; log σ = −2."""

    def forward(self, x: Tensor) -> Tensor:
        side = x[:, 12:].sum(1) - x[:, :12].sum(1)
        log_scale = torch.full_like(side, -2)
        return torch.stack([side.sign(), log_scale, x[:, 0] / 5, log_scale], dim=1)


def model(likelihood: str = "categorical") -> VAE:
    """Topic 0 is of the last twelve words, falling; topic 1 of the words with even numbers, in the same way."""
    latents = under_default_priors(NormalBlock("a", 1), NormalBlock("b", 1))
    words = nn.Linear(2, 24, bias=False)
    fall = torch.linspace(2, 1, 24)
    with torch.no_grad():
        words.weight.zero_()
        words.weight[12:, 0] = fall[12:]
        words.weight[::2, 1] = fall[::2]
    decoder = TopicDecoder(nn.Identity(), words, nn.Identity())
    family = {"categorical": CategoricalLikelihood, "multinomial": MultinomialLikelihood}[likelihood]
    return VAE(Networks(Sided(), decoder), latents, family())


def evaluated(likelihood: str = "categorical") -> tuple[Dataset, VAE, Encoded, Any]:
    dataset, vae = documents(), model(likelihood)
    encoded = encode(vae, dataset.test, seed=0, batch_size=7, device=CPU)
    return dataset, vae, encoded, evaluate(encoded, exact_limit=1e9)


def test_the_perplexity_by_hand() -> None:
    dataset, _vae, encoded, evaluation = evaluated()
    found = document_models.perplexities(dataset.test, encoded, evaluation.elbo, "categorical")
    counts = dataset.test.x[encoded.order]
    words = counts.sum(1).double().numpy()
    elbo = evaluation.elbo
    assert evaluation.metrics["elbo"] == pytest.approx(elbo.mean())
    assert found["perplexity"] == pytest.approx(math.exp(-elbo.sum() / words.sum()))
    assert found["perplexity_document_mean"] == pytest.approx(math.exp(-(elbo / words).mean()))


def test_the_multinomials_coefficient_is_taken_off() -> None:
    """The same model says the same of words, whichever of the two likelihoods scores them."""
    values = []
    for likelihood in ("categorical", "multinomial"):
        dataset, _vae, encoded, evaluation = evaluated(likelihood)
        values.append(document_models.perplexities(dataset.test, encoded, evaluation.elbo, likelihood))
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert multinomial.log_coefficient(documents().test.x[torch.arange(3)]).min() > 1


def test_a_bound_beyond_numbers_is_null_with_a_reason() -> None:
    dataset, _vae, encoded, evaluation = evaluated()
    found = document_models.perplexities(dataset.test, encoded, evaluation.elbo - 1e7, "categorical")
    assert found["perplexity"] is None
    assert found["perplexity_why"] == "the bound is beyond the largest floating-point number"


def test_planted_topics_are_found() -> None:
    dataset, vae, encoded, evaluation = evaluated()
    topics = document_models.topics_of(vae, dataset, encoded, evaluation.information)
    assert topics is not None
    assert topics.words == [list(WORDS[12:22]), list(WORDS[:20:2])]
    assert topics.sizes == {"a": 1, "b": 1}
    # Words of one kind of documents go together, those of both kinds do not.
    assert topics.coherence[0] > 0.2 > 0 > topics.coherence[1]
    section = document_models.topic_metrics(topics, encoded)
    first, second = section["by_information"]  # type: ignore[misc]
    assert first["name"] == "a[0]"
    assert first["information"] == pytest.approx(evaluation.metrics["information_per_factor"]["a[0]"])
    assert first["information"] > second["information"]
    assert (section["active"], section["correlation_within_blocks"]) == (2, None)
    assert 0 < section["correlation_between_blocks"] < 1  # type: ignore[operator]
    json.dumps(section, allow_nan=False)


def test_attributes_are_known_by_the_factor_that_tells_them_apart() -> None:
    _dataset, _vae, encoded, _evaluation = evaluated()
    about = document_models.attribute_information(encoded, encoded)
    assert about is not None
    assert about.shape == (2, 2)
    assert about[1, 0] == pytest.approx(math.log(2), abs=1e-6)
    assert about[0, 0] < 0.3


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    dataset, vae, encoded, evaluation = evaluated()
    topics = document_models.topics_of(vae, dataset, encoded, evaluation.information)
    assert topics is not None
    about = np.ones((2, 2))
    figures = dict(document_models.topic_figures(topics, dataset, about))
    assert set(figures) == {"topic_words", "topic_correlation", "attribute_information"}
    assert "attribute_information" not in dict(document_models.topic_figures(topics, dataset, None))


def test_a_decoder_without_topics_has_none() -> None:
    dataset, vae, encoded, evaluation = evaluated()
    other = VAE(Networks(vae.encoder, nn.Linear(2, 24)), vae.latents, CategoricalLikelihood())
    assert document_models.topics_of(other, dataset, encoded, evaluation.information) is None
