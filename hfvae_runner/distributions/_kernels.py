"""Loops of ``fused_mixture`` and ``fused_bernoulli`` that numba compiles for the CPU.

They are in one file because numba's disk cache of a function is invalidated only when that function's own file changes.

Shapes: R mixtures; S samples and M components of each; D normal factors; C categorical factors with K categories in
total; G blocks; L columns, as in ``fused_mixture``; B examples of P pixels. The inner loops run along the last axis,
which is contiguous in memory. Only a few rows [M] of a mixture's table, those of one sample, exist at a time.

The results are the same for any number of threads: sums are cut into parts that depend on their length alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange
from numba.extending import intrinsic
from numpy.polynomial import Chebyshev, Polynomial

from hfvae_runner.distributions.mixture import SMALLEST

# No flag allows the compiler to change the order of rounding. The code in the process that compiled it and the code
# that other processes load from disk are optimised differently, but a resumed run must match to the bit. So a product
# and a sum are rounded once where `_fma` is called and twice elsewhere. Sums are kept in lanes, which are added up at
# the end. There are 64 lanes, four vectors of 16, because each addition waits for the previous one to the same lane.
# A maximum is exact in any order, but the vector instruction is defined for numbers only. So a NaN in a mixture gives
# undefined values here, and `fused_mixture` makes that mixture's whole result NaN. Infinities are allowed. (The builtin
# max() is vectorised elementwise, but not when it reduces a row; `_larger` is vectorised there, too.)
_EXACT = {"nsz"}
_WITHOUT_NAN = {"nsz", "nnan"}
_LANES = 64

_FLOOR, _LOG2_E = np.float32(SMALLEST), np.float32(1.4426950408889634)
_A3, _A5, _A7, _A9, _A11, _A13 = (np.float32(1 / n) for n in range(3, 15, 2))
_LOWEST, _ZERO, _HALF, _ONE, _TWO = (np.float32(each) for each in (-np.inf, 0, 0.5, 1, 2))
# 2^f for |f| ≤ 1/2 is approximated by 1 + p₁f + … + p₅f⁵: exact at 0, elsewhere within 2.1e-7.
_P1, _P2, _P3, _P4, _P5 = (
    np.float32(each) for each in Chebyshev.interpolate(np.exp2, 5, domain=[-0.5, 0.5]).convert(kind=Polynomial).coef[1:]
)
# Adding it to a number leaves the nearest integer plus the exponent bias of a float32 (127) in the last bits.
_ROUNDING = np.float32(1.5 * 2**23 + 127)
_MANTISSA_BITS = np.int32(23)


def _compiled(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that compiles on the first call, and caches the result where a cache folder is writable."""

    def compile_later(function: Callable[..., None]) -> Callable[..., None]:
        try:
            return njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # neither the package's folder nor the user's cache folder is writable
            return njit(**options)(function)  # type: ignore[no-any-return]

    return compile_later


# The wrappers for calls from Python and C would take half of the compilation time.
_called_by_kernels = partial(njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _multiply_and_add(_context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.fma(*values)

    return numba.float32(*[numba.float32] * 3), generate


def _choose_larger(_context: Any, a: Any, b: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *values), *values, flags=sorted(_WITHOUT_NAN))

    return numba.float32(*[numba.float32] * 2), generate


_fma: Any = intrinsic(_multiply_and_add)  # float32 only
_larger: Any = intrinsic(_choose_larger)


@njit(inline="always", fastmath=_EXACT)
def _exp(x: np.float32) -> np.float32:
    """Return exp(x) for x ≤ 0, with x clamped to ``SMALLEST``.

    It uses arithmetic only, so that the compiler can vectorise it.
    """
    bounded = max(x, _FLOOR)
    shifted = np.float32(_fma(bounded, _LOG2_E, _ROUNDING))
    f = _fma(bounded, _LOG2_E, _ROUNDING - shifted)
    power: np.float32 = _fma(_fma(_fma(_fma(_fma(_P5, f, _P4), f, _P3), f, _P2), f, _P1), f, _ONE)
    return power * np.int32(shifted.view(np.int32) << _MANTISSA_BITS).view(np.float32)


@njit(inline="always", fastmath=_EXACT)
def _folded(lanes: Any) -> np.float32:
    """Return the sum of the lanes, which are overwritten."""
    for half in (32, 16, 8, 4, 2, 1):
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
    return lanes[0]  # type: ignore[no-any-return]


@_called_by_kernels(fastmath=_EXACT)
def _sum(values: Any, lanes: Any) -> np.float32:
    """Return the sum of ``values`` [N], added up in ``lanes``: value i goes to lane i mod 64."""
    whole = len(values) // _LANES * _LANES
    lanes[:] = _ZERO
    for start in range(0, whole, _LANES):
        # A view, because the compiler does not recognise the index `start + lane` as contiguous access.
        some = values[start : start + _LANES]
        for lane in range(_LANES):
            lanes[lane] += some[lane]
    rest = values[whole:]
    for lane in range(len(rest)):
        lanes[lane] += rest[lane]
    return _folded(lanes)


@_called_by_kernels(fastmath=_EXACT)
def _sum_of_exp(row: Any, largest: np.float32, lanes: Any) -> np.float32:
    """Return Σ exp(entry − largest) over ``row`` [M], added up in the order of ``_sum``."""
    whole = len(row) // _LANES * _LANES
    lanes[:] = _ZERO
    for start in range(0, whole, _LANES):
        some = row[start : start + _LANES]
        for lane in range(_LANES):
            lanes[lane] += _exp(some[lane] - largest)
    rest = row[whole:]
    for lane in range(len(rest)):
        lanes[lane] += _exp(rest[lane] - largest)
    return _folded(lanes)


@_called_by_kernels(fastmath=_EXACT)
def _weigh(more: Any, sample: int, weights: Any) -> None:
    """Write to ``more`` [M] by how much the log-weights of a sample's own component and the next exceed the rest."""
    components = len(more)
    more[sample % components] = weights[0]  # a sample's number exceeds M only where all weights are equal
    if components > 1:
        more[(sample + 1) % components] = weights[1]


@njit(inline="always", fastmath=_EXACT)
def _size(blocks: Any, g: int) -> int:
    return blocks[g, 1] - blocks[g, 0] + blocks[g, 3] - blocks[g, 2]  # type: ignore[no-any-return]


@_called_by_kernels(fastmath=_WITHOUT_NAN)
def _normal(row: Any, onto: Any, more: Any, z: np.float32, mean: Any, precision: Any, constant: Any) -> np.float32:
    """Fill ``row`` [M] with a normal factor's weighted log-densities, and return the largest.

    The unweighted log-densities are added to ``onto`` [M].
    """
    largest = _LOWEST
    for m in range(len(row)):
        standardised = (z - mean[m]) * precision[m]
        entry = _fma(-_HALF * standardised, standardised, constant[m])
        onto[m] += entry
        row[m] = entry + more[m]
        largest = _larger(largest, row[m])
    return largest


@_called_by_kernels(fastmath=_WITHOUT_NAN)
def _weighted(row: Any, more: Any) -> np.float32:
    """Add the log-weights ``more`` to the log-densities ``row`` [M] in place, and return the largest."""
    largest = _LOWEST
    for m in range(len(row)):
        row[m] += more[m]
        largest = _larger(largest, row[m])
    return largest


@_called_by_kernels(fastmath=_EXACT)
def _copy(row: Any, into: Any) -> None:
    for m in range(len(row)):
        into[m] = row[m]


@_called_by_kernels(fastmath=_EXACT)
def _add(onto: Any, row: Any) -> None:
    for m in range(len(row)):
        onto[m] += row[m]


@_called_by_kernels(fastmath=_WITHOUT_NAN)
def _score(sample: Any, components: Any, blocks: Any, more: Any, buffers: Any, peak: Any, total: Any) -> None:
    """Write one sample's ``peak`` and ``total`` [L]."""
    (z, index), (mean, precision, constant, log_probs), (joint, block, row, lanes) = sample, components, buffers
    joint[:] = _ZERO
    count, column = len(blocks), 1 + len(blocks)
    for g in range(count):
        # A single block shares the joint's row. A block of one factor shares that factor's row.
        single, separate = _size(blocks, g) == 1, _size(blocks, g) > 1 and count > 1
        onto = block if separate else joint
        if separate:
            block[:] = _ZERO
        for d in range(blocks[g, 0], blocks[g, 1]):
            largest = _normal(row, onto, more, z[d], mean[d], precision[d], constant[d])
            peak[column], total[column] = largest, _sum_of_exp(row, largest, lanes)
            column += 1
        for c in range(blocks[g, 2], blocks[g, 3]):
            _copy(log_probs[index[c]], row)
            _add(onto, row)
            largest = _weighted(row, more)
            peak[column], total[column] = largest, _sum_of_exp(row, largest, lanes)
            column += 1
        if separate:
            _add(joint, block)
            largest = _weighted(block, more)
            peak[1 + g], total[1 + g] = largest, _sum_of_exp(block, largest, lanes)
        elif single:
            peak[1 + g], total[1 + g] = peak[column - 1], total[column - 1]
    largest = _weighted(joint, more)
    peak[0], total[0] = largest, _sum_of_exp(joint, largest, lanes)
    if count == 1 and _size(blocks, 0) > 1:
        peak[1], total[1] = peak[0], total[0]


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_WITHOUT_NAN)
def mixture(samples: Any, components: Any, blocks: Any, weights: Any, parts: int, peak: Any, total: Any) -> None:
    """Write each row's largest entry to ``peak`` and the sum of exp(entry − largest) to ``total``, [R, S, L] each.

    Args:
        samples: z [R, S, D] and index [R, S, C].
        components: mean, precision and constant [R, D, M], and log_probs [R, K, M].
        blocks: [G, 4]; for each block, its first normal factor and one past its last, then the same for categorical
            factors.
        weights: by how much the log-weights of a sample's own component and of the next one exceed the rest.
        parts: the number of parts into which the samples are cut.
    """
    (z, index), (mean, precision, constant, log_probs) = samples, components
    for part in prange(len(z) * parts):
        r, p = part // parts, part % parts
        row = np.empty(mean.shape[2], np.float32)
        buffers = (np.empty_like(row), np.empty_like(row), row, np.empty(_LANES, np.float32))
        more = np.zeros_like(row)
        of_r = (mean[r], precision[r], constant[r], log_probs[r])
        for s in range(z.shape[1] * p // parts, z.shape[1] * (p + 1) // parts):
            _weigh(more, s, weights)
            _score((z[r, s], index[r, s]), of_r, blocks, more, buffers, peak[r, s], total[r, s])
            _weigh(more, s, (_ZERO, _ZERO))


@_called_by_kernels(fastmath=_EXACT)
def _log_densities(joint: Any, block_rows: Any, sample: Any, components: Any, blocks: Any) -> None:
    """Fill ``joint`` [M] with a sample's log-densities, and ``block_rows`` [G, M] with those of blocks.

    Only blocks of several factors, where there are several blocks, need a row of ``block_rows``.
    """
    (z, index), (mean, precision, constant, log_probs) = sample, components
    joint[:] = _ZERO
    for g in range(len(blocks)):
        separate = _size(blocks, g) > 1 and len(blocks) > 1
        block = block_rows[g]
        onto = block if separate else joint
        if separate:
            block[:] = _ZERO
        for d in range(blocks[g, 0], blocks[g, 1]):
            z_d, mean_d, precision_d, constant_d = z[d], mean[d], precision[d], constant[d]
            for m in range(len(onto)):
                standardised = (z_d - mean_d[m]) * precision_d[m]
                onto[m] += _fma(-_HALF * standardised, standardised, constant_d[m])
        for c in range(blocks[g, 2], blocks[g, 3]):
            _add(onto, log_probs[index[c]])
        if separate:
            _add(joint, block)


@_called_by_kernels(fastmath=_EXACT)
def _share(row: Any, base: Any, more: Any, scale: np.float32, largest: np.float32) -> None:
    """Replace log-densities [M] by each component's share of a gradient: base + scale·exp(entry + more − largest)."""
    if scale == _ZERO:
        return _copy(base, row)
    for m in range(len(row)):
        row[m] = _fma(scale, _exp(row[m] + more[m] - largest), base[m])


@_called_by_kernels(fastmath=_EXACT)
def _share_normal(
    row: Any, z: np.float32, of_factor: Any, base: Any, more: Any, scale: np.float32, largest: np.float32
) -> None:
    """Fill ``row`` [M] with the shares of ``_share`` for a normal factor, whose log-densities are recomputed."""
    if scale == _ZERO:
        return _copy(base, row)
    mean, precision, constant = of_factor
    for m in range(len(row)):
        standardised = (z - mean[m]) * precision[m]
        entry = _fma(-_HALF * standardised, standardised, constant[m])
        row[m] = _fma(scale, _exp(entry + more[m] - largest), base[m])


@_called_by_kernels(fastmath=_EXACT)
def _pull(row: Any, z: np.float32, of_factor: Any, to_mean: Any, to_log_scale: Any, lanes: Any) -> np.float32:
    """Add a normal factor's gradients to ``to_mean`` and ``to_log_scale`` [M], and return the gradient to z.

    ``row`` [M] holds each component's share. It is overwritten.
    """
    mean, precision, _ = of_factor
    for m in range(len(row)):
        share, precision_m = row[m], precision[m]
        standardised = (z - mean[m]) * precision_m
        pull = share * standardised * precision_m
        row[m] = pull
        to_mean[m] += pull
        to_log_scale[m] = _fma(share, _fma(standardised, standardised, -_ONE), to_log_scale[m])
    return -_sum(row, lanes)


@_called_by_kernels(fastmath=_EXACT)
def _differentiate(
    sample: Any, components: Any, blocks: Any, more: Any, buffers: Any, peak: Any, scale: Any, gradients: Any
) -> None:
    """Add one sample's gradients to ``gradients``. No exponential is computed for a column whose scale is 0."""
    (z, index), (mean, precision, constant, log_probs) = sample, components
    to_z, to_mean, to_log_scale, to_log_probs = gradients
    joint, row, of_nothing, lanes, block_rows = buffers
    for column in range(1 + len(blocks)):
        if scale[column] != _ZERO:
            _log_densities(joint, block_rows, sample, components, blocks)
            break
    _share(joint, of_nothing, more, scale[0], peak[0])
    column = 1 + len(blocks)
    for g in range(len(blocks)):
        of_block = joint
        if scale[1 + g] != _ZERO:
            of_block = block_rows[g]
            _share(of_block, joint, more, scale[1 + g], peak[1 + g])
        for d in range(blocks[g, 0], blocks[g, 1]):
            if scale[0] != _ZERO or scale[1 + g] != _ZERO or scale[column] != _ZERO:
                of_factor = (mean[d], precision[d], constant[d])
                _share_normal(row, z[d], of_factor, of_block, more, scale[column], peak[column])
                to_z[d] = _pull(row, z[d], of_factor, to_mean[d], to_log_scale[d], lanes)
            column += 1
        for c in range(blocks[g, 2], blocks[g, 3]):
            _copy(log_probs[index[c]], row)
            _share(row, of_block, more, scale[column], peak[column])
            _add(to_log_probs[index[c]], row)
            column += 1


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_EXACT)
def mixture_backward(
    samples: Any, components: Any, blocks: Any, weights: Any, peak: Any, scale: Any, gradients: Any
) -> None:
    """Compute the gradients to z, mean, log_scale and log_probs.

    Args:
        samples, components, blocks, weights: as in ``mixture``.
        peak: from ``mixture``, [R, S, L].
        scale: gradient / total, [R, S, L]; 0 in a column without gradient. It is also 0 for a block that is the only
            one or that has one factor, because ``fused_mixture`` adds it to the column with the same entries.
        gradients: to z [R, S, D], to mean and log_scale [R, parts, D, M], and to log_probs [R, parts, K, M]. They are
            zeros on entry and are filled in place, a slice for each part of the samples.
    """
    (z, index), (mean, precision, constant, log_probs) = samples, components
    to_z, to_mean, to_log_scale, to_log_probs = gradients
    parts = to_mean.shape[1]
    for part in prange(len(z) * parts):
        r, p = part // parts, part % parts
        row, more = np.empty(mean.shape[2], np.float32), np.zeros(mean.shape[2], np.float32)
        block_rows = np.empty((len(blocks), len(row)), np.float32)
        buffers = (np.empty_like(row), row, np.zeros_like(row), np.empty(_LANES, np.float32), block_rows)
        of_r = (mean[r], precision[r], constant[r], log_probs[r])
        for s in range(z.shape[1] * p // parts, z.shape[1] * (p + 1) // parts):
            to_r = (to_z[r, s], to_mean[r, p], to_log_scale[r, p], to_log_probs[r, p])
            _weigh(more, s, weights)
            _differentiate((z[r, s], index[r, s]), of_r, blocks, more, buffers, peak[r, s], scale[r, s], to_r)
            _weigh(more, s, (_ZERO, _ZERO))


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_EXACT)
def bernoulli(x: Any, logits: Any, log_density: Any) -> None:
    """Fill ``log_density`` [B] with Σ x·l − log(1 + exp(l)), in nats; ``x`` and l = ``logits`` are [B, P]."""
    examples, pixels = logits.shape
    for b in prange(examples):
        row, lanes = np.empty(pixels, np.float32), np.empty(_LANES, np.float32)
        x_b, logits_b = x[b], logits[b]
        for i in range(pixels):
            logit = logits_b[i]
            small = _exp(-abs(logit))
            # log(1 + e) = 2 artanh(e / (2 + e)), whose series converges fast because e ≤ 1.
            t = small / (_TWO + small)
            square = t * t
            series = (((((_A13 * square + _A11) * square + _A9) * square + _A7) * square + _A5) * square + _A3) * square
            row[i] = x_b[i] * logit - max(logit, _ZERO) - _TWO * t * (series + _ONE)
        log_density[b] = _sum(row, lanes)


@_compiled(parallel=True, nogil=True, error_model="numpy", fastmath=_EXACT)
def bernoulli_backward(x: Any, logits: Any, gradient: Any, to_logits: Any) -> None:
    """Fill ``to_logits`` [B, P] with gradient·(x − sigmoid(l)), where l = ``logits`` [B, P], ``gradient`` is [B]."""
    examples, pixels = logits.shape
    for b in prange(examples):
        x_b, logits_b, to_logits_b, gradient_b = x[b], logits[b], to_logits[b], gradient[b]
        for i in range(pixels):
            small = _exp(-abs(logits_b[i]))
            probability = (_ONE if logits_b[i] >= _ZERO else small) / (_ONE + small)
            to_logits_b[i] = gradient_b * (x_b[i] - probability)


def use_torch_s_threads() -> None:
    """Set numba's number of threads to torch's, or to numba's maximum if that is smaller."""
    wanted = torch.get_num_threads()
    numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    # The first call starts numba's threads and sets OpenMP's number of threads, which torch uses as its own.
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


@_compiled()
def wake() -> None:
    """Do nothing. The first call of any compiled loop makes numba import its remaining modules."""
