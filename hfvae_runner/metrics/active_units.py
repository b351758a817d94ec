"""Active units: the continuous factors that respond to the data (Burda et al. 2016, section 5.2)."""

import numpy as np

from hfvae_runner.config.validation import NonNegative
from hfvae_runner.metrics._subject import Floats, Result, Subject, undefined


def mean_variance(mean: Floats) -> Floats:
    """Return Var_x E[z_d|x] over the examples, [D], from means [N, D]; exactly 0 if all means are equal."""
    return np.asarray((mean - mean[0]).var(axis=0))


def active_units(subject: Subject, *, threshold: NonNegative) -> Result:
    """Return the number of continuous factors whose posterior means vary by more than a threshold, and each variance.

    `active_units` is the number, `active_units_variance` the variances over the examples, in squared units of the
    factor (a standard normal prior has variance 1). Discrete variables do not count: `label_information` and
    `information_per_factor` report whether they are used.

    Args:
        threshold: the variance above which a factor is active, in squared units of the factor.
    """
    encoded = subject.encoded
    if not encoded.names:
        return undefined(("active_units", "active_units_variance"), "the prior has no continuous factors")
    variance = mean_variance(encoded.mean)
    return {
        "active_units": int((variance > threshold).sum()),
        "active_units_variance": dict(zip(encoded.names, variance.tolist(), strict=True)),
    }
