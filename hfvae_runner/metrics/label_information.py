"""Mutual information between the label and each latent variable, in nats (HFVAE, appendix A.2).

Legend: N examples, D continuous factors, K categories, C classes.

The estimates come as contributions of the classes, so that the matrix of labels by latents (Fig. 7) can be drawn:
contribution_k = Σ_l q(z=l, y=k) · log[q(z=l, y=k) / (q(z=l) q(y=k))] = q(y=k) · KL(q(z|y=k) ‖ q(z)) ≥ 0.
Their sum over the classes is I(y; z) ≤ H(y). A class that does not occur contributes 0.

The estimates are plug-in ones and so biased upwards: by about (10-1)(C-1)/(2N) nats for 10 bins, 81/(2N) for ten
classes, and by no more than about (K-1)(C-1)/(2N) for a categorical variable. `permuted_baseline` measures it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

BINS = 10


def decile_edges(samples: Floats) -> NDArray[np.float64]:
    """The nine inner edges [D, 9] of ten equal-mass bins per factor.

    samples: [N, D], one draw of q(z|x) per example of the *training* split, which fixes the bins for every split.
    An edge lies between two neighbouring samples (linear interpolation of the empirical quantiles). With fewer
    than ten samples some bins hold none of them; for a constant factor all nine edges coincide.
    Raises ValueError for no sample at all, or one that is not finite.
    """
    return np.asarray(np.quantile(_checked_samples(samples), np.arange(1, BINS) / BINS, axis=0).T)


def binned_label_information(
    samples: Floats, labels: Integers, edges: Floats, classes: int | None = None
) -> NDArray[np.float64]:
    """Contribution [C, D] of each class to I(y; z_d), in nats; the sum over axis 0 is I(y; z_d).

    samples: [N, D], one draw of q(z|x) per example; labels: [N], in 0..C-1; edges: [D, 9], from `decile_edges`;
    classes: C, where the largest label does not tell it.
    A sample that equals an edge belongs to the bin above it, and an empty bin contributes 0. So equal samples always
    share a bin, ties can only lower the estimate, and a constant factor has exactly 0. With fewer examples than
    bins nearly every example sits in a bin of its own and the estimate approaches H(y): read it beside
    the permuted baseline.
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
    """Contribution [C] of each class to I(y; z) of one categorical variable, in nats; the sum is I(y; z).

    probabilities: [N, K], q(z=l|x) for each example; labels: [N], in 0..C-1; classes: as above.
    No sample is drawn: q(z=l, y=k) = q(y=k) · mean of q(z=l|x) over the examples of class k.
    Raises ValueError if a row is not a distribution (logits, say).
    """
    probabilities = _checked_samples(probabilities)
    if (probabilities < 0).any() or (abs(probabilities.sum(1) - 1) > 1e-3).any():
        raise ValueError("each row of the probabilities must be non-negative and sum to 1")
    labels, classes = _checked_labels(labels, len(probabilities), classes)
    is_class = labels[:, None] == np.arange(classes)
    return _class_contributions(probabilities.T @ is_class / len(labels))


def permuted_baseline(
    estimate: Callable[[Integers], Floats], labels: Integers, generator: np.random.Generator, permutations: int = 10
) -> Floats:
    """The mean of an estimate over permuted labels: what it says where the true information is 0.

    estimate: labels [N] -> an array of any shape, for instance
    ``lambda y: binned_label_information(samples, y, edges).sum(0)``; the result has that shape and unit.
    """
    return np.asarray(np.mean([estimate(generator.permutation(labels)) for _ in range(permutations)], axis=0))


def _class_contributions(joint: Floats) -> NDArray[np.float64]:
    """Σ_l q(l, k) log[q(l, k) / (q(l) q(k))] as [C], from the table q(l, k) [L, C], with 0 · log 0 = 0."""
    cell, label = np.nonzero(joint)
    # A difference of logarithms, since the product of two tiny marginals underflows where the joint does not.
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
