"""The loops that numba compiles for this machine: those of ``fused_mixture`` and ``fused_bernoulli``.

They are in one file because numba keeps what it compiled until that function's own file changes.

Shapes: R mixtures at once; S samples and M components of each; D normal factors; C categorical ones with K categories
in all; G groups of factors; B examples of P pixels. The inner loops run along the last axis, over neighbours in memory.
Of a mixture's table there is one sample's row at a time, [M].

The results are the same for any number of threads: sums are cut into parts that depend on their length alone.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange

from hfvae_runner.distributions.mixture import SMALLEST

# No flag that lets the compiler round in another order: numba's code in the process that compiled it and the code that
# other processes find on the disk were optimised differently, and a run has to go on to the bit. So sums are kept in
# lanes, which are added up at the end. A maximum is exact in any order, but vectors have one for numbers alone: no NaN
# may come into a mixture, and `fused_mixture` lets none through. Infinities may.
_EXACT = {"nsz"}
_WITHOUT_NAN = {"nsz", "nnan"}
_LANES = 16

_LOG2_E = np.float32(1.4426950408889634)
_FLOOR = np.float32(SMALLEST)
_HALF = np.float32(0.5)
# 2^f for |f| ≤ 1/2 as its Taylor series: the first term left out is below 2e-7 of the sum.
_P1, _P2, _P3, _P4, _P5, _P6 = (np.float32(np.log(2.0) ** n / np.prod(np.arange(1.0, n + 1))) for n in range(1, 7))
_A3, _A5, _A7, _A9, _A11, _A13 = (np.float32(1 / n) for n in range(3, 15, 2))
_ONE, _TWO, _ZERO = np.float32(1), np.float32(2), np.float32(0)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)


def _compiled(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Compiled on the first call, and kept on disk where a place for that can be written."""

    def compile_later(function: Callable[..., None]) -> Callable[..., None]:
        try:
            return njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # neither the package's folder nor the user's own can be written
            return njit(**options)(function)  # type: ignore[no-any-return]

    return compile_later


@njit(inline="always", fastmath=_EXACT)
def _exp(x: np.float32) -> np.float32:
    """exp(x) of x ≤ 0, that of the floor below it; arithmetic alone, so that it runs on whole vectors."""
    scaled = max(x, _FLOOR) * _LOG2_E
    whole = np.int32(scaled - _HALF)
    f = scaled - np.float32(whole)
    power = (((((_P6 * f + _P5) * f + _P4) * f + _P3) * f + _P2) * f + _P1) * f + _ONE
    return power * np.int32((whole + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


@njit(inline="always", fastmath=_EXACT)
def _sum(values: Any, lanes: Any) -> np.float32:
    """The sum of ``values`` in the order that the lanes make."""
    whole = len(values) // _LANES * _LANES
    lanes[:] = _ZERO
    for start in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += values[start + lane]
    for place in range(whole, len(values)):
        lanes[place - whole] += values[place]
    for half in (8, 4, 2, 1):
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
    return lanes[0]  # type: ignore[no-any-return]


@njit(inline="always", fastmath=_WITHOUT_NAN)
def _log_densities(
    row: Any, z: Any, mean: Any, precision: Any, constant: Any, index: Any, log_probs: Any, span: Any, weights: Any
) -> None:
    """Fills ``row`` [M] with one sample's log-density under each component, weights included but for that of the rest.

    ``span``: the group's first and last normal factor, and its first and last categorical one.
    ``weights``: the sample's own component, and by how much its weight and that of the one after it differ.
    """
    components = row.shape[0]
    row[:] = _ZERO
    # Views: with two indices in the loop the compiler does not see that neighbours follow one another.
    for d in range(span[0], span[1]):
        z_d, mean_d, precision_d, constant_d = z[d], mean[d], precision[d], constant[d]
        for m in range(components):
            standardised = (z_d - mean_d[m]) * precision_d[m]
            row[m] += constant_d[m] - _HALF * standardised * standardised
    for c in range(span[2], span[3]):
        of_category = log_probs[index[c]]
        for m in range(components):
            row[m] += of_category[m]
    own, own_more, following_more = weights
    row[own % components] += own_more  # beyond the last one where all weights are alike, and nothing is added
    if components > 1:
        row[(own + 1) % components] += following_more


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_WITHOUT_NAN)
def mixture(
    z: Any,
    mean: Any,
    precision: Any,
    constant: Any,
    index: Any,
    log_probs: Any,
    spans: Any,
    own_more: np.float32,
    following_more: np.float32,
    parts: int,
    peak: Any,
    total: Any,
) -> None:
    """Each row's largest entry, and the sum of exp(entry − largest): ``peak`` and ``total`` [R, S, G]."""
    mixtures, samples, _ = z.shape
    components = mean.shape[2]
    for part in prange(mixtures * parts):
        r, p = part // parts, part % parts
        row, lanes = np.empty(components, np.float32), np.empty(_LANES, np.float32)
        for s in range(samples * p // parts, samples * (p + 1) // parts):
            for g in range(spans.shape[0]):
                weights = (s, own_more, following_more)
                _log_densities(
                    row, z[r, s], mean[r], precision[r], constant[r], index[r, s], log_probs[r], spans[g], weights
                )
                largest = row[0]
                for m in range(components):
                    largest = max(largest, row[m])
                for m in range(components):
                    row[m] = _exp(row[m] - largest)
                peak[r, s, g] = largest
                total[r, s, g] = _sum(row, lanes)


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_WITHOUT_NAN)
def mixture_backward(
    z: Any,
    mean: Any,
    precision: Any,
    constant: Any,
    index: Any,
    log_probs: Any,
    spans: Any,
    own_more: np.float32,
    following_more: np.float32,
    peak: Any,
    scale: Any,
    to_z: Any,
    to_mean: Any,
    to_log_scale: Any,
    to_log_probs: Any,
) -> None:
    """Gradients from scale = gradient / total [R, S, G]; those of components are left in ``parts``, [R, parts, D, M].

    All four come in as zeros. ``to_log_probs``: [R, parts, K, M].
    """
    mixtures, samples, _ = z.shape
    components, parts = mean.shape[2], to_mean.shape[1]
    for part in prange(mixtures * parts):
        r, p = part // parts, part % parts
        row, pulls, lanes = (
            np.empty(components, np.float32),
            np.empty(components, np.float32),
            np.empty(_LANES, np.float32),
        )
        for s in range(samples * p // parts, samples * (p + 1) // parts):
            for g in range(spans.shape[0]):
                weights = (s, own_more, following_more)
                _log_densities(
                    row, z[r, s], mean[r], precision[r], constant[r], index[r, s], log_probs[r], spans[g], weights
                )
                largest, gradient = peak[r, s, g], scale[r, s, g]
                for m in range(components):
                    row[m] = gradient * _exp(row[m] - largest)
                for d in range(spans[g, 0], spans[g, 1]):
                    z_d, mean_d, precision_d = z[r, s, d], mean[r, d], precision[r, d]
                    to_mean_d, to_log_scale_d = to_mean[r, p, d], to_log_scale[r, p, d]
                    for m in range(components):
                        standardised = (z_d - mean_d[m]) * precision_d[m]
                        pulls[m] = row[m] * standardised * precision_d[m]
                        to_mean_d[m] += pulls[m]
                        to_log_scale_d[m] += row[m] * (standardised * standardised - _ONE)
                    to_z[r, s, d] -= _sum(pulls, lanes)
                for c in range(spans[g, 2], spans[g, 3]):
                    to_category = to_log_probs[r, p, index[r, s, c]]
                    for m in range(components):
                        to_category[m] += row[m]


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_EXACT)
def bernoulli(x: Any, logits: Any, log_density: Any) -> None:
    """Fills ``log_density`` [B] with Σ x·l − log(1 + exp(l)) of x and l = ``logits`` [B, P]."""
    examples, pixels = logits.shape
    for b in prange(examples):
        row, lanes = np.empty(pixels, np.float32), np.empty(_LANES, np.float32)
        x_b, logits_b = x[b], logits[b]
        for i in range(pixels):
            logit = logits_b[i]
            small = _exp(-abs(logit))
            # log(1 + e) = 2 artanh(e / (2 + e)), a quick series since e ≤ 1.
            t = small / (_TWO + small)
            square = t * t
            series = (((((_A13 * square + _A11) * square + _A9) * square + _A7) * square + _A5) * square + _A3) * square
            row[i] = x_b[i] * logit - max(logit, _ZERO) - _TWO * t * (series + _ONE)
        log_density[b] = _sum(row, lanes)


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_EXACT)
def bernoulli_backward(x: Any, logits: Any, gradient: Any, to_logits: Any) -> None:
    """Fills ``to_logits`` [B, P] with gradient·(x − sigmoid(l)), ``gradient`` [B]."""
    examples, pixels = logits.shape
    for b in prange(examples):
        x_b, logits_b, to_logits_b, gradient_b = x[b], logits[b], to_logits[b], gradient[b]
        for i in range(pixels):
            small = _exp(-abs(logits_b[i]))
            probability = (_ONE if logits_b[i] >= _ZERO else small) / (_ONE + small)
            to_logits_b[i] = gradient_b * (x_b[i] - probability)


def use_torch_s_threads() -> None:
    """Gives the loops as many threads as torch has, or as many as numba has."""
    wanted = torch.get_num_threads()
    numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    # The first call starts numba's threads, and sets OpenMP's number of them, which torch takes for its own.
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
