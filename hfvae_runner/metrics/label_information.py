"""Mutual information between the label and each latent variable, in nats (HFVAE, appendix A.2).

Legend: N examples, D continuous factors, K categories, C classes.

The estimates are returned as contributions of the classes, for the matrix of labels by latents (Fig. 7):
contribution_k = Σ_l q(z=l, y=k) · log[q(z=l, y=k) / (q(z=l) q(y=k))] = q(y=k) · KL(q(z|y=k) ‖ q(z)) ≥ 0.
Their sum over the classes is I(y; z) ≤ H(y). A class that does not occur contributes 0.

The estimates are plug-in estimates and therefore biased upwards: by about (10-1)(C-1)/(2N) nats for 10 bins, 81/(2N)
for ten classes, and by at most about (K-1)(C-1)/(2N) for a categorical variable. `permuted_baseline` measures the bias.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.metrics._subject import NO_SAMPLE, UNKNOWN, Representation, Result, Subject, Truth, undefined
from hfvae_runner.metrics.label_information_gap import label_information_gap

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

BINS = 10
_PERMUTATIONS = 10


def decile_edges(samples: Floats) -> NDArray[np.float64]:
    """Return the nine inner edges [D, 9] of ten equal-mass bins per factor.

    An edge lies between two neighbouring samples (linear interpolation of the empirical quantiles). With fewer than ten
    samples some bins contain none of them. For a constant factor all nine edges coincide.

    Args:
        samples: [N, D], one sample of q(z|x) per example of the *training* split, which determines the bins for every
            split.

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    return np.asarray(np.quantile(_checked_samples(samples), np.arange(1, BINS) / BINS, axis=0).T)


def binned_label_information(
    samples: Floats, labels: Integers, edges: Floats, classes: int | None = None
) -> NDArray[np.float64]:
    """Return the contribution [C, D] of each class to I(y; z_d), in nats; the sum over axis 0 is I(y; z_d).

    A sample that equals an edge belongs to the bin above it, and an empty bin contributes 0. So equal samples always
    share a bin, ties can only lower the estimate, and a constant factor has exactly 0. With fewer examples than bins
    nearly every example has its own bin and the estimate approaches H(y): compare it with the permuted baseline.

    Args:
        samples: [N, D], one sample of q(z|x) per example.
        labels: [N], in 0..C-1.
        edges: [D, 9], from `decile_edges`.
        classes: C; None takes the largest label + 1.

    Raises:
        ValueError: samples are missing or not finite, or the labels have another length or are not in 0..C-1.
    """
    samples = _checked_samples(samples)
    labels, classes = _checked_labels(labels, len(samples), classes)
    bins = edges.shape[1] + 1
    contributions = np.empty((classes, samples.shape[1]))
    for factor, inner_edges in enumerate(edges):
        bin_of = np.searchsorted(inner_edges, samples[:, factor], side="right")
        counts = np.bincount(bin_of * classes + labels, minlength=bins * classes)
        contributions[:, factor] = _class_contributions(counts.reshape(bins, classes) / len(samples))
    return contributions


def categorical_label_information(
    probabilities: Floats, labels: Integers, classes: int | None = None
) -> NDArray[np.float64]:
    """Return the contribution [C] of each class to I(y; z) of one categorical variable, in nats; the sum is I(y; z).

    No sample is drawn: q(z=l, y=k) = q(y=k) · mean of q(z=l|x) over the examples of class k.

    Args:
        probabilities: [N, K], q(z=l|x) for each example.
        labels: [N], in 0..C-1.
        classes: C; None takes the largest label + 1.

    Raises:
        ValueError: a row is not a distribution (logits, for example), or the labels have another length or are not in
            0..C-1.
    """
    probabilities = _checked_samples(probabilities)
    if (probabilities < 0).any() or (abs(probabilities.sum(1) - 1) > 1e-3).any():
        raise ValueError("each row of the probabilities must be non-negative and sum to 1")
    labels, classes = _checked_labels(labels, len(probabilities), classes)
    is_class = labels[:, None] == np.arange(classes)
    return _class_contributions(probabilities.T @ is_class / len(labels))


def permuted_baseline(
    estimate: Callable[[Integers], Floats],
    labels: Integers,
    generator: np.random.Generator,
    permutations: int = _PERMUTATIONS,
) -> Floats:
    """Return the mean of an estimate over permuted labels: its value where the true information is 0.

    Args:
        estimate: labels [N] -> an array of any shape, for example
            ``lambda y: binned_label_information(samples, y, edges).sum(0)``; the result has that shape and unit.
        labels: [N].
        generator: draws the permutations.
        permutations: how many.
    """
    return np.asarray(np.mean([estimate(generator.permutation(labels)) for _ in range(permutations)], axis=0))


def label_contributions(encoded: Representation, train: Representation) -> NDArray[np.float64] | None:
    """Return each class's contribution to the information between the label and each latent variable, [C, F], nats.

    F counts all variables, in the order of ``encoded.variables``. Only examples whose label is known count. Return None
    if there are no labels or no samples. The bins have equal mass for the samples of ``train``.
    """
    if encoded.label is None or (encoded.label.values == UNKNOWN).all():
        return None
    known = encoded.label.values != UNKNOWN
    estimate = _estimate(encoded, train, encoded.label, known)
    return None if estimate is None else estimate(encoded.label.values[known])


def label_information(subject: Subject) -> Result:
    """Return `label_information` of each latent variable, nats, with its permuted baseline and the gap.

    `label_information_permuted` is the estimate's mean over permuted labels. `label_information_gap` is that of the
    discrete variables over the continuous ones. Only examples that have a label count. For a continuous factor, samples
    are binned in ten bins that have equal mass in the training split (or in this split if no training split is known).
    For a discrete variable, q(c|x) is used.
    """
    encoded, label = subject.encoded, subject.encoded.label
    keys = ("label_information", "label_information_permuted", "label_information_gap")
    if label is None:
        return undefined(keys, "the data set has no labels")
    known = label.values != UNKNOWN
    if not known.any():
        return undefined(keys, "no example has a label")
    train = encoded if subject.train is None else subject.train
    estimate, labels = _estimate(encoded, train, label, known), label.values[known]
    if estimate is None:
        return undefined(keys, NO_SAMPLE)
    information = estimate(labels).sum(0)
    steps = subject.progress(range(_PERMUTATIONS), "permuted labels")

    def of_permuted(permuted: Integers) -> Floats:
        next(steps)
        return np.asarray(estimate(permuted).sum(0))

    baseline = permuted_baseline(of_permuted, labels, subject.generator(), _PERMUTATIONS)
    continuous = len(encoded.names)
    gap = label_information_gap(information[continuous:], information[:continuous])
    return {
        "label_information": dict(zip(encoded.variables, information.tolist(), strict=True)),
        "label_information_permuted": dict(zip(encoded.variables, baseline.tolist(), strict=True)),
        **({"label_information_gap": gap.value} if gap.why is None else undefined(keys[2:], gap.why)),
    }


def _estimate(
    encoded: Representation, train: Representation, label: Truth, known: NDArray[np.bool_]
) -> Callable[[Integers], NDArray[np.float64]] | None:
    """Return a function of the known examples' labels to each class's contribution, [C, F]; None without samples."""
    parts: list[Callable[[Integers], NDArray[np.float64]]] = []
    if encoded.sample is None or train.sample is None:
        return None
    if encoded.names:
        samples, edges = encoded.sample[known], decile_edges(train.sample)
        parts.append(lambda labels: binned_label_information(samples, labels, edges, label.size))
    for variable in encoded.discrete:
        probabilities = variable.probabilities[known]
        parts.append(partial(_categorical_column, probabilities, label.size))
    return lambda labels: np.concatenate([part(labels) for part in parts], axis=1)


def _categorical_column(probabilities: Floats, classes: int, labels: Integers) -> NDArray[np.float64]:
    return categorical_label_information(probabilities, labels, classes)[:, None]


def _class_contributions(joint: Floats) -> NDArray[np.float64]:
    """Return Σ_l q(l, k) log[q(l, k) / (q(l) q(k))] as [C], from the table q(l, k) [L, C], with 0 · log 0 = 0."""
    cell, label = np.nonzero(joint)
    # Use a difference of logarithms: the product of two tiny marginals can underflow where the joint does not.
    log_ratio = np.zeros(joint.shape)
    log_ratio[cell, label] = np.log(joint[cell, label]) - np.log(joint.sum(1)[cell]) - np.log(joint.sum(0)[label])
    return np.asarray((joint * log_ratio).sum(0), dtype=np.float64)


def _checked_samples(samples: Floats) -> NDArray[np.float64]:
    checked = np.asarray(samples, dtype=np.float64)
    if checked.ndim != 2 or len(checked) == 0:
        raise ValueError(f"expected an array [N, D] of at least one example, got shape {checked.shape}")
    if not np.isfinite(checked).all():
        raise ValueError("the representation holds values that are not finite")
    return checked


def _checked_labels(labels: Integers, examples: int, classes: int | None) -> tuple[NDArray[np.int64], int]:
    labels = np.asarray(labels)
    if labels.shape != (examples,):
        raise ValueError(f"expected {examples} labels, got shape {labels.shape}")
    classes = int(labels.max()) + 1 if classes is None else classes
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}, got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64), classes
