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
        names: of the factors, T.
        words: the ten likeliest words of each.
        coherence: NPMI on the training documents, [T].
        information: index-code mutual information on the test split, [T], nats.
        correlation: of the posterior means over the test documents, [T, T]; NaN where one never changes.
        sizes: how many topics each block has, and their names.
    """

    names: list[str]
    words: list[list[str]]
    coherence: np.ndarray
    information: np.ndarray
    correlation: np.ndarray
    sizes: dict[str, int]


@torch.no_grad()
def perplexities(split: Split, encoded: Encoded, elbo: np.ndarray, likelihood: str) -> dict[str, object]:
    """The split's bound of the perplexity per word, over all words and as a mean over documents (HFVAE Sec. 5.2).

    Args:
        encoded: of the same split.
        elbo: of its documents, in the same order, [N]; every weight 1, whatever the model was trained with.
        likelihood: its name; the multinomial's coefficient is taken off.
    """
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
    """The topics; None where the decoder's are not to be read, or the latents are not all continuous.

    Args:
        test: the encoded test split.
        information: index-code mutual information per factor on it, [F].
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
    """The section ``topics`` of metrics.json: of the most informative topic first."""
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
    """I(b_a; z_d) on the test split, bins from the training split, [A, T] (HFVAE Fig. 12); None without attributes."""
    if test.attributes is None:
        return None
    z, of_train = (torch.cat(list(each.sample), dim=1).cpu().numpy() for each in (test, train))
    return binned_attribute_information(z, test.attributes.cpu().numpy(), decile_edges(of_train))


def topic_figures(topics: Topics, dataset: Dataset, about: np.ndarray | None) -> "Iterator[tuple[str, Figure]]":
    """HFVAE Fig. 6 and 12: words and correlations of the topics, and what these know of the grouped topics."""
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
