"""Metrics and figures of text models: perplexity, topics, coherence, correlation between topics.

Shapes: N documents of a split; V words; T topics, which are the continuous factors; A attributes. Nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from hfvae_runner.data import Dataset, SparseCounts, Split
from hfvae_runner.distributions import multinomial
from hfvae_runner.evaluation.decomposition import Encoded
from hfvae_runner.metrics import NO_DENSITY, undefined
from hfvae_runner.metrics.attribute_information import binned_attribute_information
from hfvae_runner.metrics.label_information import decile_edges
from hfvae_runner.metrics.npmi import topic_coherence
from hfvae_runner.metrics.perplexity import perplexity
from hfvae_runner.metrics.topics import activation_correlation, group_correlation, top_words
from hfvae_runner.models.networks import TopicDecoder
from hfvae_runner.models.vae import VAE

if TYPE_CHECKING:  # matplotlib takes a second to import
    from matplotlib.figure import Figure

_ROWS = 1024
_ACTIVE = 1e-2  # the variance of E[z|x] over the data (Burda et al. 2016; the β-TCVAE authors' code)
_BEYOND = "the bound is beyond the largest floating-point number"


@dataclass(frozen=True)
class Topics:
    """The topics of one model.

    Attributes:
        names: the T factors' names.
        words: the ten most probable words of each topic.
        coherence: NPMI on the training documents, [T].
        information: index-code mutual information on the test split, [T], nats.
        correlation: of the posterior means over the test documents, [T, T]; NaN for a constant mean.
        sizes: the number of topics in each block, by the block's name.
    """

    names: list[str]
    words: list[list[str]]
    coherence: np.ndarray
    information: np.ndarray
    correlation: np.ndarray
    sizes: dict[str, int]


@torch.no_grad()
def perplexities(split: Split, encoded: Encoded, elbo: np.ndarray | None, likelihood: str) -> dict[str, object]:
    """Compute the split's bound on the perplexity per word, over all words and averaged over documents.

    HFVAE Sec. 5.2. A bound beyond the largest floating-point number is null, with the reason, and so is one without an
    ELBO.

    Args:
        split: the split.
        encoded: the same split, encoded.
        elbo: the ELBO of its documents with all weights 1, in the order of ``encoded``, [N], nats; None if it is not
            defined.
        likelihood: the likelihood's name; the coefficient of a multinomial is subtracted.
    """
    if elbo is None:
        return undefined(("perplexity", "perplexity_document_mean"), NO_DENSITY)
    words, coefficient = torch.zeros(len(encoded)), torch.zeros(len(encoded), dtype=torch.float64)
    for rows in torch.arange(len(encoded)).split(_ROWS):
        counts = split.x[encoded.order[rows].to(split.x.device)].cpu()
        words[rows] = counts.sum(1)
        if likelihood == "multinomial":
            coefficient[rows] = multinomial.log_coefficient(counts.double())
    bound = perplexity(elbo, coefficient.numpy(), words.numpy())
    metrics: dict[str, object] = {}
    for name, value in {"perplexity": bound.corpus, "perplexity_document_mean": bound.document_mean}.items():
        metrics |= {name: value} if math.isfinite(value) else {name: None, f"{name}_why": _BEYOND}
    return metrics


def topics_of(model: VAE, dataset: Dataset, test: Encoded, information: np.ndarray) -> Topics | None:
    """Return the topics; None if the decoder has no topics, or if a latent variable is discrete.

    Args:
        model: the trained model.
        dataset: its data set, with a vocabulary.
        test: the encoded test split.
        information: index-code mutual information per factor on the test split, [F], nats.
    """
    latents, decoder = model.latents, model.decoder
    if not isinstance(decoder, TopicDecoder) or any(block.discrete for block in latents.blocks):
        return None
    assert dataset.vocabulary is not None
    ranked = top_words(decoder.word_weights().double().cpu().numpy())
    means = torch.cat(list(latents.mode(test.posterior)), dim=1).double().cpu().numpy()
    return Topics(
        names=list(latents.factor_names),
        words=[[dataset.vocabulary[word] for word in topic] for topic in ranked],
        coherence=topic_coherence(ranked, _as_scipy(dataset.train.x)),
        information=information,
        correlation=activation_correlation(means),
        sizes={block.name: len(block.factor_names) for block in latents.blocks},
    )


def topic_metrics(topics: Topics, test: Encoded) -> dict[str, object]:
    """Return the section ``topics`` of metrics.json, with the topics by descending information."""
    means = torch.cat(list(test.latents.mode(test.posterior)), dim=1).double().cpu()
    between = group_correlation(topics.correlation, list(topics.sizes.values()))
    order = np.argsort(-topics.information, kind="stable")
    return {
        "active": int((means.var(0) > _ACTIVE).sum()),
        "npmi": float(topics.coherence.mean()),
        "correlation_within_blocks": between.within,
        "correlation_between_blocks": between.between,
        "by_information": [
            {
                "name": topics.names[t],
                "information": float(topics.information[t]),
                "npmi": float(topics.coherence[t]),
                "words": topics.words[t],
            }
            for t in order
        ],
    }


def attribute_information(test: Encoded, train: Encoded) -> np.ndarray | None:
    """Compute I(b_a; z_d) on the test split with bins from the training split, [A, T], nats (HFVAE Fig. 12).

    Returns None if the data set has no attributes.
    """
    if test.attributes is None:
        return None
    z, of_train = (torch.cat(list(each.sample), dim=1).cpu().numpy() for each in (test, train))
    return binned_attribute_information(z, test.attributes.cpu().numpy(), decile_edges(of_train))


def topic_figures(topics: Topics, dataset: Dataset, about: np.ndarray | None) -> "Iterator[tuple[str, Figure]]":
    """Yield the names and figures of the topics' words, correlations and attribute information (HFVAE Fig. 6 and 12).

    Args:
        topics: the model's topics.
        dataset: its data set.
        about: information about each attribute in each topic, [A, T], nats; None without attributes.
    """
    from hfvae_runner.figures import attribute_matrix, topic_correlation, topic_words

    order = np.argsort(-topics.information, kind="stable")
    yield (
        "topic_words",
        topic_words.topic_words(
            [topics.names[t] for t in order],
            [float(topics.information[t]) for t in order],
            [float(topics.coherence[t]) for t in order],
            [topics.words[t] for t in order],
        ),
    )
    blocks, sizes = list(topics.sizes), list(topics.sizes.values())
    yield "topic_correlation", topic_correlation.topic_correlation(topics.correlation, blocks, sizes)
    if about is not None and dataset.attribute_names is not None:
        yield (
            "attribute_information",
            attribute_matrix.attribute_matrix(about, dataset.attribute_names, topics.names),
        )


def _as_scipy(x: object) -> csr_matrix:
    assert isinstance(x, SparseCounts)
    parts: list[Tensor] = [x.counts, x.columns, x.starts]
    counts, columns, starts = (part.cpu().numpy() for part in parts)
    return csr_matrix((counts, columns, starts), shape=x.shape)
