"""Modularity as in published tables (Ridgeway & Mozer 2018; Locatello et al. 2019)."""

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._subject import Result, Subject, undefined
from hfvae_runner.metrics.mig_binned import binned_information
from hfvae_runner.metrics.modularity import modularity_of

_KEYS = ("published_modularity", "published_modularity_per_variable")


def published_modularity(subject: Subject, *, rows: Count, bins: Count) -> Result:
    """Return `published_modularity`, the mean of 1 − δ_i over all latent variables, 0..1.

    A variable without information counts as 0. In contrast, `modularity` leaves it out, uses more rows by default, and
    uses q(c|x) of a discrete variable instead of its most probable category. `published_modularity_per_variable` has
    each variable's value.

    Args:
        rows: the most examples to use, the first ones.
        bins: number of bins of equal width between each variable's extremes.
    """
    encoded = subject.encoded
    factors, information = binned_information(encoded, np.arange(min(rows, len(encoded))), bins)
    if len(factors.partitions) < 2:
        why = f"modularity compares factors; expected two or more that vary, there are {len(factors.partitions)}"
        return undefined(_KEYS, why)
    each = [0.0 if value is None else value for value in modularity_of(information)]
    return dict(zip(_KEYS, (float(np.mean(each)), dict(zip(encoded.variables, each, strict=True))), strict=True))
