"""Hoyer sparsity: how few latent dimensions an example uses (Mathieu et al. 2019, section 6.3 and appendix B)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.metrics._subject import Result, Subject, undefined


class Hoyer(NamedTuple):
    """The sparsity in 0..1, or None with the reason why it is not defined."""

    value: float | None
    why: str | None


def hoyer(means: NDArray[np.floating[Any]], *, scaled: bool) -> Hoyer:
    """Return (√D − ‖z‖₁/‖z‖₂) / (√D − 1), averaged over the data: 0 if all dimensions are equal, 1 if only one is used.

    An example at the origin has no direction and is left out of the average. Standard normal codes score 0.27, 0.25,
    0.23 in D = 10, 20, 50.

    Args:
        means: [N, D], the mean of q(z|x) for each example.
        scaled: whether to divide each dimension first by its standard deviation over the data, without centring, so
            that the result depends on which examples use a dimension, not on its range. A dimension that is constant
            over the examples has no scale and is left out. One that barely varies counts in full.

    Raises:
        ValueError: there is no example, or a mean is not finite.
    """
    if means.ndim != 2 or len(means) == 0:
        raise ValueError(f"expected means [N, D] of at least one example, got shape {means.shape}")
    if not np.isfinite(means).all():
        raise ValueError("some means are not finite")
    z = means.astype(np.float64)
    if scaled:
        z = _scaled(z)
        if z.shape[1] < 2:
            return Hoyer(None, f"{z.shape[1]} of {means.shape[1]} dimensions vary over the data; expected two or more")
    elif z.shape[1] < 2:
        return Hoyer(None, f"sparsity needs two dimensions or more, there are {z.shape[1]}")
    z = z[np.any(z != 0, axis=1)]
    if len(z) == 0:
        return Hoyer(None, "all examples are encoded at the origin")
    # Divide by the largest value, because the squares of tiny values underflow.
    magnitude = np.abs(z / np.abs(z).max(axis=1, keepdims=True))
    root = np.sqrt(z.shape[1])
    # α-β paper, section 6.3.
    sparsity = (root - magnitude.sum(1) / np.sqrt((magnitude**2).sum(1))) / (root - 1)
    return Hoyer(float(np.clip(sparsity.mean(), 0, 1)), None)


def hoyer_sparsity(subject: Subject) -> Result:
    """Return `hoyer` of the continuous means, each scaled by its deviation over the data, and `hoyer_unscaled`."""
    means = subject.encoded.mean
    if means.shape[1] == 0:
        return undefined(("hoyer", "hoyer_unscaled"), "the prior has no continuous factors")
    result: dict[str, object] = {}
    for name, scaled in (("hoyer", True), ("hoyer_unscaled", False)):
        sparsity = hoyer(means, scaled=scaled)
        result |= {name: sparsity.value} if sparsity.why is None else undefined([name], sparsity.why)
    return result


def _scaled(z: NDArray[np.float64]) -> NDArray[np.float64]:
    # In floating point the standard deviation of equal values may differ from 0, but their range is exactly 0.
    z = z[:, np.ptp(z, axis=0) > 0]
    z = z / np.abs(z).max(axis=0)
    return np.asarray(z / z.std(axis=0))
