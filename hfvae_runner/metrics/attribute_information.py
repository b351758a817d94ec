"""Mutual information between each binary attribute and each latent variable, in nats (HFVAE, D.3).

Legend: N examples, A attributes, D continuous factors, K categories. An attribute is treated as a label of two
classes, so the estimates are those of `label_information`, with a bias of about 9/(2N) nats for ten bins.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.metrics.label_information import binned_label_information, categorical_label_information

Floats = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


def binned_attribute_information(samples: Floats, attributes: Booleans, edges: Floats) -> NDArray[np.float64]:
    """Return I(b_a; z_d) of every attribute and factor, [A, D], in nats; at most the attribute's entropy, and so log 2.

    Args:
        samples: [N, D], one sample of q(z|x) per example.
        attributes: [N, A], bool.
        edges: [D, 9], from `label_information.decile_edges` of the training split.

    Raises:
        ValueError: the attributes have another shape or type, or as `binned_label_information`.
    """
    each = [binned_label_information(samples, column, edges, classes=2).sum(0) for column in _columns(attributes)]
    return np.stack(each)


def categorical_attribute_information(probabilities: Floats, attributes: Booleans) -> NDArray[np.float64]:
    """Return I(b_a; z) of every attribute and one categorical variable, [A], in nats.

    Args:
        probabilities: [N, K], q(z=l|x) for each example.
        attributes: [N, A], bool.

    Raises:
        ValueError: the attributes have another shape or type, or as `categorical_label_information`.
    """
    each = [categorical_label_information(probabilities, column, classes=2).sum() for column in _columns(attributes)]
    return np.array(each)


def _columns(attributes: Booleans) -> list[NDArray[np.int64]]:
    if attributes.ndim != 2 or attributes.shape[1] == 0 or attributes.dtype != np.bool_:
        raise ValueError(
            f"expected attributes [N, A], bool, at least one, got shape {attributes.shape} of {attributes.dtype}"
        )
    return list(attributes.T.astype(np.int64))
