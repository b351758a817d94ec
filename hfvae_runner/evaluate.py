"""What a trained model is worth on a whole split: the terms under the aggregate posterior, and the labels' metrics.

Shapes: N examples of the split; F factors; D continuous factors; K categories; C classes. Nats per example.
One sample per example: normal factors drawn, Concrete ones as categorical draws. A split's aggregate posterior is its
own mixture, of its own size.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hfvae_runner import terms
from hfvae_runner.aggregate import Aggregate, BatchedAggregate, ExactAggregate
from hfvae_runner.blocks import Posterior, Sample
from hfvae_runner.datasets import Split, as_float
from hfvae_runner.datasets.sampling import draws
from hfvae_runner.errors import Diverged
from hfvae_runner.evidence import Evidence
from hfvae_runner.latents import Latents
from hfvae_runner.metrics.discrete_accuracy import assigned_accuracy, majority_vote_accuracy, one_to_one_accuracy
from hfvae_runner.metrics.hoyer import hoyer
from hfvae_runner.metrics.label_information import (
    binned_label_information,
    categorical_label_information,
    decile_edges,
    permuted_baseline,
)
from hfvae_runner.metrics.label_information_gap import label_information_gap
from hfvae_runner.metrics.mmd import mmd_squared
from hfvae_runner.model import VAE
from hfvae_runner.runtime.seeds import derived
from hfvae_runner.schema import MetricsConfig
from hfvae_runner.vocabulary import Kernel, Level, levels_to

# Every reported term, with the level of the prior's marginals that it needs.
_REPORTED: Mapping[str, Level] = {
    "mutual_information": "joint",
    "group_tc": "block",
    "within_tc": "factor",
    "dimension_kl": "factor",
    "total_correlation": "joint",
    "marginal_kl": "joint",
    "block_kl": "block",
}
_INFORMATION = ("label_information", "label_information_permuted", "label_information_gap")
# Squared, of at most _MMD_DRAWS samples against as many prior draws; unbiased, so below 0 for about half of equal sets.
_MMD: Mapping[str, Kernel] = {"mmd_imq": "imq", "mmd_imq_per_dimension": "imq_per_dimension"}
_MMD_DRAWS = 2000
_ACCURACIES = ("discrete_accuracy", "discrete_accuracy_majority", "discrete_accuracy_by_train")


@dataclass(frozen=True)
class Encoded:
    """A split as the encoder sees it, in a fixed random order.

    Attributes:
        latents: the blocks, discrete ones scored by their pmf at the drawn category.
        posterior: [N, P_g] a block.
        sample: one draw per example, [N, C_g] a block.
        log_px: log p(x|z) of that draw, [N].
        labels: [N] or None.
        order: which examples of the split these are, int64 [N].
        attributes: [N, A] bool, or None.
    """

    latents: Latents
    posterior: Posterior
    sample: Sample
    log_px: Tensor
    labels: Tensor | None
    order: Tensor
    attributes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.log_px)


@torch.no_grad()
def encode(model: VAE, split: Split, *, seed: int, batch_size: int, device: torch.device) -> Encoded:
    """Encodes and samples a split, ``batch_size`` examples at a time, whose size does not change the draws.

    Of a split with weights it is N rows drawn in that proportion, so that all means are over p(n).
    """
    model.eval()
    # The batch estimator takes neighbours together, and a data set may be stored class by class.
    order = draws(len(split), split.weights, torch.Generator().manual_seed(derived(seed, "order")))
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
        order,
        None if split.attributes is None else split.attributes[order],
    )


@dataclass(frozen=True)
class Evaluation:
    """One split's metrics and what the figures need beside them.

    Attributes:
        metrics: the split's section of metrics.json.
        kl: KL per factor, [F], nats; None where the prior has no marginals per factor.
        information: index-code mutual information per factor, [F], nats.
        label_contributions: each class's part of I(y; z_d), [C, F], nats; None without labels.
        elbo: log p(x|z) − KL of each example, [N], nats.
    """

    metrics: dict[str, object]
    elbo: np.ndarray
    kl: np.ndarray | None
    information: np.ndarray
    label_contributions: np.ndarray | None


@torch.no_grad()
def evaluate(
    encoded: Encoded,
    train: Encoded,
    settings: MetricsConfig,
    *,
    n_classes: int | None,
    seed: int,
    supervised_block: str | None = None,
) -> Evaluation:
    """Every metric of one split.

    Args:
        encoded: the split.
        train: the training split, whose deciles bin the samples for the labels' information.
        settings: the limit for the exact aggregate posterior, and the batch where it is beyond.
        n_classes: C, None without labels.
        seed: of the permuted-label baseline and the prior's draws.
        supervised_block: the discrete block whose category k was trained to be label k.

    Raises:
        Diverged: a value is not finite.
    """
    latents = encoded.latents
    aggregate, how = _aggregate(encoded, settings)
    evidence = Evidence(latents, encoded.posterior, encoded.sample, encoded.log_px, aggregate)
    kl_per_example = evidence.kl("joint").double()
    elbo = (encoded.log_px.double() - kl_per_example).cpu().numpy()
    joint_kl = kl_per_example.mean().item()
    sampled_kl = (evidence.log_qz_x("joint") - evidence.log_pz("joint")).double()
    information = _mean(evidence.log_qz_x("factor") - evidence.log_qz("factor"))
    kl = _mean(evidence.kl("factor")) if latents.finest == "factor" else None
    reconstruction = encoded.log_px.double().mean().item()
    metrics: dict[str, object] = {
        "examples": len(encoded),
        "elbo": reconstruction - joint_kl,
        "reconstruction": reconstruction,
        "kl": joint_kl,
        "kl_mc": sampled_kl.mean().item(),
        "kl_mc_se": (sampled_kl.std() / math.sqrt(len(sampled_kl))).item(),
    }
    metrics |= _by_level(evidence, kl)
    own_share = evidence.own_share()
    assert own_share is not None
    metrics["aggregate_posterior"] = {**how, "own_share": own_share.double().mean().item()}
    metrics["information_per_factor"] = _named(latents, information)
    if broken := [key for key, value in metrics.items() if isinstance(value, float) and not math.isfinite(value)]:
        raise Diverged(f"{', '.join(broken)} not finite")
    metrics |= _structure(encoded, seed)
    if encoded.labels is None or n_classes is None:
        metrics |= _undefined((*_INFORMATION, *_ACCURACIES), "the data set has no labels")
        return Evaluation(metrics, elbo, kl, information, None)
    about_labels, contributions = _label_metrics(encoded, train, encoded.labels.numpy(), n_classes, seed)
    if supervised_block is not None:
        (g,) = latents.select([supervised_block])
        right = encoded.posterior[g].argmax(1).cpu() == encoded.labels
        about_labels["supervised_accuracy"] = right.double().mean().item()
    return Evaluation(metrics | about_labels, elbo, kl, information, contributions)


def _mean(values: Tensor) -> np.ndarray:
    return values.double().mean(0).cpu().numpy()


def _by_level(evidence: Evidence, kl: np.ndarray | None) -> dict[str, object]:
    """Every reported term, and the KL per block and factor; null where the prior lacks the marginals."""
    latents = evidence.latents
    levels = levels_to(latents.finest)
    coarse = f"the prior has marginals at the level {latents.finest!r} and none finer"
    metrics: dict[str, object] = {}
    for name, level in _REPORTED.items():
        metrics |= {name: _term(name, evidence)} if level in levels else _undefined([name], coarse)
    if "block" in levels:
        names = [block.name for block in latents.blocks]
        metrics["kl_per_block"] = dict(zip(names, _mean(evidence.kl("block")).tolist(), strict=True))
    return metrics | (_undefined(["kl_per_factor"], coarse) if kl is None else {"kl_per_factor": _named(latents, kl)})


def _term(name: str, evidence: Evidence) -> float:
    return terms.mean(name).per_example(evidence).double().mean().item()


def _aggregate(encoded: Encoded, settings: MetricsConfig) -> tuple[Aggregate, dict[str, object]]:
    cost = float(len(encoded)) ** 2 * len(encoded.latents.factor_names)
    if cost <= settings.exact_limit:
        return ExactAggregate(encoded.latents, encoded.posterior, encoded.sample), {"estimator": "exact"}
    batch = min(settings.batch_size, len(encoded))
    batched = BatchedAggregate(encoded.latents, encoded.posterior, encoded.sample, batch=batch, estimator="stratified")
    why = f"N*N*F = {cost:.3g} is above metrics.exact_limit = {settings.exact_limit:.3g}"
    return batched, {"estimator": "stratified", "batch_size": batch, "why": why}


def _structure(encoded: Encoded, seed: int) -> dict[str, object]:
    """The sparsity of the continuous means (α-β paper, 6.3), and how far their samples are from the prior's."""
    latents = encoded.latents
    continuous = [g for g, block in enumerate(latents.blocks) if not block.discrete]
    if not continuous:
        return _undefined(("hoyer", "hoyer_unscaled", *_MMD), "the prior has no continuous factors")
    mode = latents.mode(encoded.posterior)
    means = torch.cat([mode[g] for g in continuous], dim=1).double().cpu().numpy()
    metrics: dict[str, object] = {}
    for name, scaled in (("hoyer", True), ("hoyer_unscaled", False)):
        sparsity = hoyer(means, scaled=scaled)
        metrics |= {name: sparsity.value} if sparsity.why is None else _undefined([name], sparsity.why)
    # The split is in random order, so that its first rows are a random part.
    draws = min(len(encoded), _MMD_DRAWS)
    device = encoded.posterior[0].device
    noise = latents.prior_noise(draws, torch.Generator(device).manual_seed(derived(seed, "prior")), torch.float64)
    from_prior = latents.prior_sample(noise)
    ours, prior = (torch.cat([z[g][:draws] for g in continuous], dim=1).double() for z in (encoded.sample, from_prior))
    for name, kernel in _MMD.items():
        metrics[name] = mmd_squared(ours, prior, kernel=kernel, statistic="u").item()
    return metrics


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
    return metrics | _accuracies(encoded, train, labels), contributions


def _accuracies(encoded: Encoded, train: Encoded, labels: np.ndarray) -> dict[str, object]:
    discrete = [g for g, block in enumerate(encoded.latents.blocks) if block.discrete]
    if len(discrete) != 1:
        why = f"the prior has {len(discrete)} discrete variables; the accuracy is that of a single one"
        return _undefined(_ACCURACIES, why)
    (g,) = discrete
    categories, of_train = (each.posterior[g].argmax(1).cpu().numpy() for each in (encoded, train))
    accuracies: dict[str, object] = {
        "discrete_accuracy": one_to_one_accuracy(categories, labels),
        "discrete_accuracy_majority": majority_vote_accuracy(categories, labels),
    }
    if train.labels is None:
        return accuracies | _undefined(["discrete_accuracy_by_train"], "the training split has no labels")
    by_train = assigned_accuracy(categories, labels, of_train, train.labels.numpy())
    return {**accuracies, "discrete_accuracy_by_train": by_train}


def factor_is_discrete(latents: Latents) -> list[bool]:
    """For each of the F factors, whether it is a discrete variable."""
    return [block.discrete for block in latents.blocks for _ in block.factor_names]
