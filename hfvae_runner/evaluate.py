"""What a trained model is worth on a whole split: the terms under the aggregate posterior, and the labels' metrics.

Shapes: N examples of the split; F factors; D continuous factors; K categories; C classes. Nats per example.
One sample per example: normal factors drawn, Concrete ones as categorical draws. A split's aggregate posterior is its
own mixture, of its own size.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hfvae_runner import terms
from hfvae_runner.aggregate import Aggregate, BatchedAggregate, ExactAggregate
from hfvae_runner.datasets import Split, as_float
from hfvae_runner.errors import Diverged
from hfvae_runner.evidence import Evidence
from hfvae_runner.latents import Latents, Posterior, Sample
from hfvae_runner.metrics.discrete_accuracy import majority_vote_accuracy, one_to_one_accuracy
from hfvae_runner.metrics.label_information import (
    binned_label_information,
    categorical_label_information,
    decile_edges,
    permuted_baseline,
)
from hfvae_runner.metrics.label_information_gap import label_information_gap
from hfvae_runner.model import VAE
from hfvae_runner.runtime.seeds import derived
from hfvae_runner.schema import MetricsConfig
from hfvae_runner.terms._term import MeanTerm

_DECOMPOSITION = ("mutual_information", "group_tc", "within_tc", "dimension_kl")
_REPORTED = (*_DECOMPOSITION, "total_correlation", "marginal_kl", "block_kl")
_INFORMATION = ("label_information", "label_information_permuted", "label_information_gap")
_ACCURACIES = ("discrete_accuracy", "discrete_accuracy_majority")


@dataclass(frozen=True)
class Encoded:
    """A split as the encoder sees it, in a fixed random order.

    Attributes:
        latents: the blocks, discrete ones scored by their pmf at the drawn category.
        posterior: [N, P_g] a block.
        sample: one draw per example, [N, C_g] a block.
        log_px: log p(x|z) of that draw, [N].
        labels: [N] or None.
    """

    latents: Latents
    posterior: Posterior
    sample: Sample
    log_px: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.log_px)


@torch.no_grad()
def encode(model: VAE, split: Split, *, seed: int, batch_size: int, device: torch.device) -> Encoded:
    """Encodes and samples a split, ``batch_size`` examples at a time, whose size does not change the draws."""
    model.eval()
    # The batch estimator takes neighbours together, and a data set may be stored class by class.
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(derived(seed, "order")))
    # Drawn for all at once: the blocks take turns at the generator.
    noise = model.latents.noise(len(split), torch.Generator(device).manual_seed(derived(seed, "noise")))
    posteriors, samples, log_px = [], [], []
    for chosen, *noise_part in zip(*(torch.split(each, batch_size) for each in (order, *noise)), strict=True):
        x = as_float(split.x[chosen.to(split.x.device)].to(device))
        posterior = model.encode(x)
        sample = model.latents.sample(posterior, noise_part, hard=True)
        posteriors.append(posterior)
        samples.append(sample)
        log_px.append(model.likelihood.log_prob(x, model.decode(model.latents.code(sample))))
    return Encoded(
        model.latents.with_density("argmax"),
        [torch.cat(parts) for parts in zip(*posteriors, strict=True)],
        [torch.cat(parts) for parts in zip(*samples, strict=True)],
        torch.cat(log_px),
        None if split.labels is None else split.labels[order],
    )


@dataclass(frozen=True)
class Evaluation:
    """One split's metrics and what the figures need beside them.

    Attributes:
        metrics: the split's section of metrics.json.
        kl: KL per factor, [F], nats.
        information: index-code mutual information per factor, [F], nats.
        label_contributions: each class's part of I(y; z_d), [C, F], nats; None without labels.
    """

    metrics: dict[str, object]
    kl: np.ndarray
    information: np.ndarray
    label_contributions: np.ndarray | None


@torch.no_grad()
def evaluate(
    encoded: Encoded, train: Encoded, settings: MetricsConfig, *, n_classes: int | None, seed: int
) -> Evaluation:
    """Every metric of one split.

    Args:
        encoded: the split.
        train: the training split, whose deciles bin the samples for the labels' information.
        settings: the limit for the exact aggregate posterior, and the batch where it is beyond.
        n_classes: C, None without labels.
        seed: of the permuted-label baseline.

    Raises:
        Diverged: a value is not finite.
    """
    latents = encoded.latents
    aggregate, how = _aggregate(encoded, settings)
    evidence = Evidence(latents, encoded.posterior, encoded.sample, encoded.log_px, aggregate)
    kl = evidence.kl("factor").double().mean(0).cpu().numpy()
    information = (evidence.log_qz_x("factor") - evidence.log_qz("factor")).double().mean(0).cpu().numpy()
    parts = torch.stack([_per_example(name, evidence) for name in _DECOMPOSITION]).sum(0)
    own_share = evidence.own_share()
    assert own_share is not None
    reconstruction = encoded.log_px.double().mean().item()
    metrics: dict[str, object] = {
        "examples": len(encoded),
        "elbo": reconstruction - float(kl.sum()),
        "reconstruction": reconstruction,
        "kl": float(kl.sum()),
        "kl_mc": parts.mean().item(),
        "kl_mc_se": (parts.std() / math.sqrt(len(parts))).item(),
        **{name: _per_example(name, evidence).mean().item() for name in _REPORTED},
        "aggregate_posterior": {**how, "own_share": own_share.double().mean().item()},
        "kl_per_factor": _named(latents, kl),
        "information_per_factor": _named(latents, information),
    }
    if broken := [key for key, value in metrics.items() if isinstance(value, float) and not math.isfinite(value)]:
        raise Diverged(f"{', '.join(broken)} not finite")
    if encoded.labels is None or n_classes is None:
        metrics |= _undefined((*_INFORMATION, *_ACCURACIES), "the data set has no labels")
        return Evaluation(metrics, kl, information, None)
    about_labels, contributions = _label_metrics(encoded, train, encoded.labels.numpy(), n_classes, seed)
    return Evaluation(metrics | about_labels, kl, information, contributions)


def _per_example(name: str, evidence: Evidence) -> Tensor:
    term = terms.load(name)
    assert isinstance(term, MeanTerm)
    return term.per_example(evidence).double()


def _aggregate(encoded: Encoded, settings: MetricsConfig) -> tuple[Aggregate, dict[str, object]]:
    cost = float(len(encoded)) ** 2 * len(encoded.latents.factor_names)
    if cost <= settings.exact_limit:
        return ExactAggregate(encoded.latents, encoded.posterior, encoded.sample), {"estimator": "exact"}
    batch = min(settings.batch_size, len(encoded))
    batched = BatchedAggregate(encoded.latents, encoded.posterior, encoded.sample, batch=batch, estimator="stratified")
    why = f"N*N*F = {cost:.3g} is above metrics.exact_limit = {settings.exact_limit:.3g}"
    return batched, {"estimator": "stratified", "batch_size": batch, "why": why}


def _undefined(keys: Sequence[str], why: str) -> dict[str, object]:
    return {name: value for key in keys for name, value in ((key, None), (f"{key}_why", why))}


def _named(latents: Latents, values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(latents.factor_names, values, strict=True)}


def _label_estimate(encoded: Encoded, train: Encoded, n_classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """labels [N] -> each class's part of the information between label and factor, [C, F] (HFVAE App. A.2)."""
    of_blocks: list[Callable[[np.ndarray], np.ndarray]] = []
    for g, block in enumerate(encoded.latents.blocks):
        if block.discrete:
            probabilities = torch.softmax(encoded.posterior[g].double(), dim=1).cpu().numpy()
            of_blocks.append(partial(_categorical_column, probabilities, n_classes))
        else:
            edges = decile_edges(train.sample[g].cpu().numpy())
            sample = encoded.sample[g].cpu().numpy()
            of_blocks.append(partial(binned_label_information, sample, edges=edges, classes=n_classes))
    return lambda labels: np.concatenate([of_block(labels) for of_block in of_blocks], axis=1)


def _categorical_column(probabilities: np.ndarray, n_classes: int, labels: np.ndarray) -> np.ndarray:
    return categorical_label_information(probabilities, labels, n_classes)[:, None]


def _label_metrics(
    encoded: Encoded, train: Encoded, labels: np.ndarray, n_classes: int, seed: int
) -> tuple[dict[str, object], np.ndarray]:
    """The labels' metrics, and the contributions [C, F] behind them."""
    latents = encoded.latents
    estimate = _label_estimate(encoded, train, n_classes)
    generator = np.random.default_rng(derived(seed, "permuted labels"))
    baseline = permuted_baseline(lambda permuted: estimate(permuted).sum(0), labels, generator)
    contributions = estimate(labels)
    information = contributions.sum(0)
    discrete = np.array(factor_is_discrete(latents))
    gap = label_information_gap(information[discrete], information[~discrete])
    metrics: dict[str, object] = {
        "label_information": _named(latents, information),
        "label_information_permuted": _named(latents, baseline),
        "label_information_gap": gap.value,
    }
    if gap.why is not None:
        metrics["label_information_gap_why"] = gap.why
    return metrics | _accuracies(encoded, labels), contributions


def _accuracies(encoded: Encoded, labels: np.ndarray) -> dict[str, object]:
    discrete = [g for g, block in enumerate(encoded.latents.blocks) if block.discrete]
    if len(discrete) != 1:
        why = f"the prior has {len(discrete)} discrete variables; the accuracy is that of a single one"
        return _undefined(_ACCURACIES, why)
    categories = encoded.posterior[discrete[0]].argmax(1).cpu().numpy()
    return {
        "discrete_accuracy": one_to_one_accuracy(categories, labels),
        "discrete_accuracy_majority": majority_vote_accuracy(categories, labels),
    }


def factor_is_discrete(latents: Latents) -> list[bool]:
    """For each of the F factors, whether it is a discrete variable."""
    return [block.discrete for block in latents.blocks for _ in block.factor_names]
