"""Maximum mean discrepancy between two sets of points (Mathieu et al. 2019, appendix B; Tolstikhin et al. 2017).

Legend: n, m points; D dimensions; s the six scales.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hfvae_runner.config.names import Kernel, Statistic
from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._subject import NO_PRIOR, NO_SAMPLE, Result, Subject, undefined

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CACHED = 1 << 15
"""Entries of a block of the table: 256 kB in float64, of which a few are in use at the same time."""
_KERNELS: Mapping[str, Kernel] = {"mmd_imq": "imq", "mmd_imq_per_dimension": "imq_per_dimension"}


def mmd_squared(x: Tensor, y: Tensor, *, kernel: Kernel, statistic: Statistic) -> Tensor:
    """Return MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y), a scalar without a unit, from x [n, D] and y [m, D].

    kernel, each a sum over s in `SCALES` except the last:
    - ``imq_per_dimension`` (the authors' code): Σ_d C/(C + (x_d − y_d)²), C = 2s. It depends on the marginals only.
    - ``imq`` (the paper's, on vectors): C/(C + ‖x − y‖²), C = 2Ds.
    - ``imq_printed`` (as the paper prints it): C/(C + ‖x − y‖), with the same C, since the paper gives none.
    - ``rbf`` (ours): exp(−‖x − y‖²/(2D)). The mean squared distance of two standard normal vectors is 2D, and the
      variance D is half of that.

    statistic: within each of the sets,
    - ``u`` averages over the pairs of different points: unbiased, with mean 0 if the distributions are equal, and
      below 0 for about half of such sets;
    - ``v`` averages over all pairs, including a point with itself: the discrepancy of the two samples themselves, never
      negative and biased upwards.
    Between the sets both average over all pairs.

    Memory grows with n·m, and with n·m·D if ``imq_per_dimension`` is differentiated. A small MMD² is the difference of
    large means: pass float64 if it is to be reported. The gradient of the norm at 0 counts as 0.

    Raises:
        ValueError: the sets differ in D or are too small; each needs one point, or two for ``u``.
    """
    least = 2 if statistic == "u" else 1
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < least:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"expected [n, D] and [m, D] with at least {least} points each, got shapes {shapes}")
    between = _sum(x, y, kernel) / (len(x) * len(y))
    return _within(x, kernel, statistic) + _within(y, kernel, statistic) - 2 * between


def mmd(subject: Subject, *, draws: Count) -> Result:
    """Return `mmd_imq` and `mmd_imq_per_dimension`: MMD² between the continuous factors' samples and the prior's.

    The numbers of samples are equal. The estimates are unbiased, so they are below 0 for about half of equal sets.

    Args:
        draws: the most samples of each, the split's first ones, which are a random part.
    """
    encoded = subject.encoded
    n = min(len(encoded), draws)
    if not encoded.names:
        return undefined(tuple(_KERNELS), "the prior has no continuous factors")
    if encoded.sample is None or subject.prior_sample is None:
        return undefined(tuple(_KERNELS), NO_PRIOR if subject.prior_sample is None else NO_SAMPLE)
    if n < 2:
        return undefined(tuple(_KERNELS), "one sample has no other to compare it with; expected two or more")
    ours, prior = torch.from_numpy(encoded.sample[:n]), torch.from_numpy(subject.prior_sample(n, subject.seed))
    kernels = subject.progress(_KERNELS.items(), "mmd", len(_KERNELS))
    return {name: mmd_squared(ours, prior, kernel=kernel, statistic="u").item() for name, kernel in kernels}


def _within(x: Tensor, kernel: Kernel, statistic: Statistic) -> Tensor:
    """Return E k(x, x') over the pairs that the statistic includes."""
    total = _sum(x, x, kernel)
    if statistic == "v":
        return total / len(x) ** 2
    # The distance of a point to itself is exactly 0, for all points alike.
    own = len(x) * _table(x[:1], x[:1], kernel).sum()
    return (total - own) / (len(x) * (len(x) - 1))


def _sum(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Return Σ_ij k(x_i, y_j); where no gradient is asked for, over blocks of rows that stay in cache."""
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad):
        return _table(x, y, kernel).sum()
    return _total(_table(part, y, kernel).sum() for part in x.split(max(1, _CACHED // len(y))))


def _table(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Return k(x_i, y_j), [n, m]."""
    dimensions = x.shape[1]
    if kernel == "imq_per_dimension":
        pairs = zip(x.T, y.T, strict=True)
        return _total(_multiquadric((a[:, None] - b).square(), 1) for a, b in pairs)
    # If it used matrix products, the distance of equal points would not be exactly 0.
    distance = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    if kernel == "imq":
        return _multiquadric(distance.square(), dimensions)
    if kernel == "imq_printed":
        return _multiquadric(distance, dimensions)
    return torch.exp(-distance.square() / (2 * dimensions))


def _multiquadric(distance: Tensor, dimensions: int) -> Tensor:
    """Return Σ_s C/(C + distance), C = 2·dimensions·s, elementwise."""
    one, total = distance.new_ones(()), torch.zeros_like(distance)
    for s in SCALES:
        c = 2 * dimensions * s
        total = torch.addcdiv(total, one, distance + c, value=c)
    return total


def _total(parts: Iterator[Tensor]) -> Tensor:
    """Return the sum of one or more tensors, each computed when it is added."""
    total = next(parts)
    for part in parts:
        total = total + part
    return total
