"""Triton kernels of ``fused_mixture`` for CUDA, which ``_triton_mixture`` launches.

Shapes: R mixtures; S samples and M components of each; D normal factors; C categorical factors with K categories in
total; G blocks; L columns: all factors together, each block, each factor. Here z is [R, D, S] and ``index`` [R, C, S],
so that samples or components are contiguous in memory, not factors. ``spans`` [L, 4] holds each column's first normal
factor and one past its last, then the same for categorical factors. It is int64, and so are offsets in memory.

A program keeps one tile of a column's table at a time, in registers, with samples along one axis and components along
the other.
"""

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

from hfvae_runner.distributions.mixture import SMALLEST

_FLOOR = tl.constexpr(SMALLEST)


def _compiled(function: Callable[..., Any]) -> Any:
    """Return the function as a Triton kernel, compiled on first use and not specialised to K, G and parts."""
    return triton.jit(function, do_not_specialize=["K", "G", "parts"])


@_compiled
def _of_mixture(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    spans: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    K: tl.tensor,
) -> tuple[tl.tensor, ...]:
    """Return pointers to this program's mixture in each tensor [R, …]."""
    r = tl.program_id(2).to(tl.int64)
    normal, categorical = tl.load(spans + 1), tl.load(spans + 3)
    of_normals = r * normal * M
    return (
        z + r * normal * S,
        mean + of_normals,
        precision + of_normals,
        constant + of_normals,
        index + r * categorical * S,
        log_probs + r * K * M,
    )


@_compiled
def _rows(spans: tl.tensor, S: tl.tensor, G: tl.tensor, s: tl.tensor) -> tl.tensor:
    """Return the offset of a sample's columns in [R, S, L]."""
    columns = 1 + G + tl.load(spans + 1) + tl.load(spans + 3)
    return (tl.program_id(2).to(tl.int64) * S + s) * columns


@_compiled
def _added(own_more: tl.tensor, following_more: tl.tensor, M: tl.tensor, s: tl.tensor, m: tl.tensor) -> tl.tensor:
    """Return what the log-weights add to the entries, and −∞ beyond component M − 1.

    Masked loads return 0 there, so such an entry remains −∞.
    """
    added = tl.where(m == s, own_more, 0.0) + tl.where(m == (s + 1) % M, following_more, 0.0)
    return tl.where(m < M, added, float("-inf"))


@_compiled
def _normal(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    d: tl.tensor,
    s: tl.tensor,
    m: tl.tensor,
) -> tuple[tl.tensor, ...]:
    """Return factor d's standardised samples (z − mean)·precision, its precisions and its constants."""
    place = d * M + m
    mean_d = tl.load(mean + place, mask=m < M, other=0.0)
    precision_d = tl.load(precision + place, mask=m < M, other=0.0)
    constant_d = tl.load(constant + place, mask=m < M, other=0.0)
    return (tl.load(z + d * S + s, mask=s < S, other=0.0) - mean_d) * precision_d, precision_d, constant_d


@_compiled
def _with_normals(
    entries: tl.tensor,
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    span: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    s: tl.tensor,
    m: tl.tensor,
) -> tl.tensor:
    """Return the entries plus the log-densities of a column's normal factors."""
    for d in range(tl.load(span), tl.load(span + 1)):
        standardised, _, constant_d = _normal(z, mean, precision, constant, S, M, d, s, m)
        entries += constant_d - 0.5 * standardised * standardised
    return entries


@_compiled
def _with_categories(
    entries: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    span: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    s: tl.tensor,
    m: tl.tensor,
) -> tl.tensor:
    """Return the entries plus the log-probabilities of a column's categorical factors."""
    for c in range(tl.load(span + 2), tl.load(span + 3)):
        category = tl.load(index + c * S + s, mask=s < S, other=0)
        entries += tl.load(log_probs + category * M + m, mask=m < M, other=0.0)
    return entries


@_compiled
def _share(entries: tl.tensor, peak: tl.tensor) -> tl.tensor:
    """Return exp(entries − peak), where no entry exceeds the peak; 1 where both are −∞."""
    equal = entries == peak
    return tl.exp(tl.maximum(tl.where(equal, 0.0, entries) - tl.where(equal, 0.0, peak), _FLOOR))


@_compiled
def totals(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    spans: tl.tensor,
    own_more: tl.tensor,
    following_more: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    K: tl.tensor,
    G: tl.tensor,
    peak: tl.tensor,
    total: tl.tensor,
    BLOCK_S: tl.constexpr,
    BLOCK_M: tl.constexpr,
) -> None:
    """Write each row's largest entry to ``peak`` and the sum of exp(entry − largest) to ``total``, [R, S, L] each.

    Programs: tiles of samples × columns × R.
    """
    z, mean, precision, constant, index, log_probs = _of_mixture(
        z, mean, precision, constant, index, log_probs, spans, S, M, K
    )
    column = tl.program_id(1)
    span = spans + 4 * column
    sample = tl.program_id(0) * BLOCK_S + tl.arange(0, BLOCK_S)
    s = sample[:, None]
    peaks = tl.full([BLOCK_S, BLOCK_M], float("-inf"), tl.float32)
    sums = tl.zeros([BLOCK_S, BLOCK_M], tl.float32)
    for start in range(0, M, BLOCK_M):
        m = start + tl.arange(0, BLOCK_M)[None, :]
        entries = _added(own_more, following_more, M, s, m)
        entries = _with_normals(entries, z, mean, precision, constant, span, S, M, s, m)
        entries = _with_categories(entries, index, log_probs, span, S, M, s, m)
        higher = tl.maximum(peaks, entries)
        share = _share(tl.minimum(peaks, entries), higher)
        sums = tl.where(entries > peaks, sums * share + 1.0, sums + share)
        peaks = higher
    largest = tl.max(peaks, 1)
    place = _rows(spans, S, G, sample) + column
    tl.store(peak + place, largest, mask=sample < S)
    tl.store(total + place, tl.sum(sums * _share(peaks, largest[:, None]), 1), mask=sample < S)


@_compiled
def _weights(
    entries: tl.tensor,
    peak: tl.tensor,
    scale: tl.tensor,
    rows: tl.tensor,
    column: tl.tensor,
    S: tl.tensor,
    s: tl.tensor,
) -> tl.tensor:
    """Return the gradient to a column's entries."""
    largest = tl.load(peak + rows + column, mask=s < S, other=0.0)
    # An entry exceeds the peak only where the forward pass rounded it differently.
    share = tl.exp(tl.minimum(tl.maximum(entries - largest, _FLOOR), 0.0))
    return tl.load(scale + rows + column, mask=s < S, other=0.0) * share


@_compiled
def _part(n: tl.tensor, parts: tl.tensor, SUMMED: tl.constexpr) -> tuple[tl.tensor, ...]:
    """Return the start and the end of the program's part of the n terms of a sum."""
    length = tl.cdiv(tl.cdiv(n, SUMMED), parts) * SUMMED
    start = tl.program_id(1) % parts * length
    return start, tl.minimum(start + length, n)


@_compiled
def _output(parts: tl.tensor, factors: tl.tensor, outputs: tl.tensor, row: tl.tensor, output: tl.tensor) -> tl.tensor:
    """Return offsets in [parts, R, factors, outputs]."""
    part = (tl.program_id(1) % parts).to(tl.int64)
    return ((part * tl.num_programs(2) + tl.program_id(2)) * factors + row) * outputs + output


@_compiled
def to_samples(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    spans: tl.tensor,
    own_more: tl.tensor,
    following_more: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    K: tl.tensor,
    G: tl.tensor,
    peak: tl.tensor,
    scale: tl.tensor,
    parts: tl.tensor,
    to_z: tl.tensor,
    BLOCK: tl.constexpr,
    SUMMED: tl.constexpr,
    CHUNK: tl.constexpr,
) -> None:
    """Compute the gradient to z. Programs: tiles of samples × (chunks of factors × parts of components) × R."""
    z, mean, precision, constant, index, log_probs = _of_mixture(
        z, mean, precision, constant, index, log_probs, spans, S, M, K
    )
    low = tl.program_id(1) // parts * CHUNK
    row = low + tl.arange(0, CHUNK)[:, None]
    s = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[None, :]
    rows = _rows(spans, S, G, s)
    gradient = tl.zeros([CHUNK, BLOCK], tl.float32)
    begin, end = _part(M, parts, SUMMED)
    for start in range(begin, end, SUMMED):
        m = start + tl.arange(0, SUMMED)[:, None]
        added = _added(own_more, following_more, M, s, m)
        entries = _with_normals(added, z, mean, precision, constant, spans, S, M, s, m)
        entries = _with_categories(entries, index, log_probs, spans, S, M, s, m)
        joint = _weights(entries, peak, scale, rows, 0, S, s)
        for g in range(1, G + 1):
            span = spans + 4 * g
            first, last = tl.maximum(tl.load(span), low), tl.minimum(tl.load(span + 1), low + CHUNK)
            column = 1 + G + tl.load(span + 2)
            if first < last:
                entries = _with_normals(added, z, mean, precision, constant, span, S, M, s, m)
                above = joint + _weights(entries, peak, scale, rows, g, S, s)
                for d in range(first, last):
                    standardised, precision_d, constant_d = _normal(z, mean, precision, constant, S, M, d, s, m)
                    entries = added + constant_d - 0.5 * standardised * standardised
                    weights = above + _weights(entries, peak, scale, rows, column + d, S, s)
                    pull = tl.sum(weights * standardised * precision_d, 0)
                    gradient -= tl.where(row == d, pull[None, :], 0.0)
    factors = tl.load(spans + 1)
    tl.store(to_z + _output(parts, factors, S, row, s), gradient, mask=(row < factors) & (s < S))


@_compiled
def to_normals(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    spans: tl.tensor,
    own_more: tl.tensor,
    following_more: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    K: tl.tensor,
    G: tl.tensor,
    peak: tl.tensor,
    scale: tl.tensor,
    parts: tl.tensor,
    to_mean: tl.tensor,
    to_log_scale: tl.tensor,
    BLOCK: tl.constexpr,
    SUMMED: tl.constexpr,
    CHUNK: tl.constexpr,
) -> None:
    """Compute the gradients to mean and log_scale.

    Programs: tiles of components × (chunks of factors × parts of samples) × R.
    """
    z, mean, precision, constant, index, log_probs = _of_mixture(
        z, mean, precision, constant, index, log_probs, spans, S, M, K
    )
    low = tl.program_id(1) // parts * CHUNK
    row = low + tl.arange(0, CHUNK)[:, None]
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[None, :]
    mean_gradient = tl.zeros([CHUNK, BLOCK], tl.float32)
    log_scale_gradient = tl.zeros([CHUNK, BLOCK], tl.float32)
    begin, end = _part(S, parts, SUMMED)
    for start in range(begin, end, SUMMED):
        s = start + tl.arange(0, SUMMED)[:, None]
        rows = _rows(spans, S, G, s)
        added = _added(own_more, following_more, M, s, m)
        entries = _with_normals(added, z, mean, precision, constant, spans, S, M, s, m)
        entries = _with_categories(entries, index, log_probs, spans, S, M, s, m)
        joint = _weights(entries, peak, scale, rows, 0, S, s)
        for g in range(1, G + 1):
            span = spans + 4 * g
            first, last = tl.maximum(tl.load(span), low), tl.minimum(tl.load(span + 1), low + CHUNK)
            column = 1 + G + tl.load(span + 2)
            if first < last:
                entries = _with_normals(added, z, mean, precision, constant, span, S, M, s, m)
                above = joint + _weights(entries, peak, scale, rows, g, S, s)
                for d in range(first, last):
                    standardised, precision_d, constant_d = _normal(z, mean, precision, constant, S, M, d, s, m)
                    entries = added + constant_d - 0.5 * standardised * standardised
                    weights = above + _weights(entries, peak, scale, rows, column + d, S, s)
                    pull = tl.sum(weights * standardised, 0)[None, :] * precision_d
                    mean_gradient += tl.where(row == d, pull, 0.0)
                    widening = tl.sum(weights * (standardised * standardised - 1.0), 0)
                    log_scale_gradient += tl.where(row == d, widening[None, :], 0.0)
    factors = tl.load(spans + 1)
    place = _output(parts, factors, M, row, m)
    tl.store(to_mean + place, mean_gradient, mask=(row < factors) & (m < M))
    tl.store(to_log_scale + place, log_scale_gradient, mask=(row < factors) & (m < M))


@_compiled
def to_categories(
    z: tl.tensor,
    mean: tl.tensor,
    precision: tl.tensor,
    constant: tl.tensor,
    index: tl.tensor,
    log_probs: tl.tensor,
    spans: tl.tensor,
    own_more: tl.tensor,
    following_more: tl.tensor,
    S: tl.tensor,
    M: tl.tensor,
    K: tl.tensor,
    G: tl.tensor,
    peak: tl.tensor,
    scale: tl.tensor,
    parts: tl.tensor,
    to_log_probs: tl.tensor,
    BLOCK: tl.constexpr,
    SUMMED: tl.constexpr,
    CHUNK: tl.constexpr,
) -> None:
    """Compute the gradient to log_probs.

    Programs: tiles of components × (chunks of categories × parts of samples) × R.
    """
    z, mean, precision, constant, index, log_probs = _of_mixture(
        z, mean, precision, constant, index, log_probs, spans, S, M, K
    )
    low = tl.program_id(1) // parts * CHUNK
    row = low + tl.arange(0, CHUNK)[:, None]
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[None, :]
    gradient = tl.zeros([CHUNK, BLOCK], tl.float32)
    begin, end = _part(S, parts, SUMMED)
    for start in range(begin, end, SUMMED):
        s = start + tl.arange(0, SUMMED)[:, None]
        rows = _rows(spans, S, G, s)
        added = _added(own_more, following_more, M, s, m)
        entries = _with_normals(added, z, mean, precision, constant, spans, S, M, s, m)
        entries = _with_categories(entries, index, log_probs, spans, S, M, s, m)
        joint = _weights(entries, peak, scale, rows, 0, S, s)
        for g in range(1, G + 1):
            span = spans + 4 * g
            column = 1 + G + tl.load(span)
            for c in range(tl.load(span + 2), tl.load(span + 3)):
                # A categorical block is one factor: the block's column and the factor's have the same entries.
                category = tl.load(index + c * S + s, mask=s < S, other=0)
                entries = added + tl.load(log_probs + category * M + m, mask=m < M, other=0.0)
                weights = joint + _weights(entries, peak, scale, rows, g, S, s)
                weights += _weights(entries, peak, scale, rows, column + c, S, s)
                for k in range(low, tl.minimum(low + CHUNK, K)):
                    of_k = tl.sum(tl.where(category == k, weights, 0.0), 0)
                    gradient += tl.where(row == k, of_k[None, :], 0.0)
    tl.store(to_log_probs + _output(parts, K, M, row, m), gradient, mask=(row < K) & (m < M))
