"""Active units: the continuous factors that respond to the data (Burda et al. 2016, section 5.2)."""

import numpy as np

from hfvae_runner.config.validation import NonNegative
from hfvae_runner.metrics._subject import Floats, Result, Subject, undefined


def mean_variance(mean: Floats) -> Floats:
    """Var_x E[z_d|x] over the examples, [D], from means [N, D]; exactly 0 where all are equal."""
    return np.asarray((mean - mean[0]).var(axis=0))


def active_units(subject: Subject, *, threshold: NonNegative) -> Result:
    """`active_units`: how many continuous factors' posterior means vary by more; `active_units_variance`: how much.

    The variance over the examples is in squared units of the factor, of which a standard normal prior has 1. Discrete
    variables do not count: `label_information` and `information_per_factor` say whether these are in use.
    """
    encoded = subject.encoded
    if not encoded.names:
        return undefined(("active_units", "active_units_variance"), "the prior has no continuous factors")
    variance = mean_variance(encoded.mean)
    return {
        "active_units": int((variance > threshold).sum()),
        "active_units_variance": dict(zip(encoded.names, variance.tolist(), strict=True)),
    }
