"""The mutual information gap between blocks of the latent vector, each taken jointly (HFVAE's groups).

Legend: N examples; G blocks; D dimensions of one continuous block; F factors; Q groups of rows; S samples.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._gap import ALL_NUISANCE, Factors, Groups, categorical_information, gaps
from hfvae_runner.metrics._subject import NO_SCALE, UNKNOWN, Floats, Integers, Result, Subject, undefined

NARROWEST = 1e-5
"""The least scale relative to the range of the means; with narrower scales the densities would lose precision."""

# 1 MiB of densities, which fit in a core's cache.
_ROWS_AT_ONCE, _SAMPLES_AT_ONCE = 1024, 128
# exp(−700) is negligible beside a sample's own term, 1. The exponential of a lower number underflows, which takes five
# times as long.
_LEAST_LOG_RATIO = -700


def mig_blocks(subject: Subject, *, samples: Count) -> Result:
    """Return the gap of Eq. 6 of the β-TCVAE paper between blocks, with I(z_g; v) = E[log q(z_g|v) − log q(z_g)].

    A block is a continuous block, with all its dimensions jointly, or a discrete variable. Information on a factor may
    be spread over the dimensions of a block without lowering the gap. It lowers the gap if another block has it too.

    The standard errors treat the rows as a small sample of many: if most rows are samples, they are too large. A scale
    below 1e-5 of the range of its dimension's means is widened to that.

    Args:
        samples: the most rows, without replacement and with one draw each, over which the expectation is taken. The
            densities are the exact mixtures of all posteriors. A discrete variable is enumerated over all rows.

    Keys:
        mig_blocks: mean over the factors that are not nuisance, in 0 … 1; mig_blocks_se: its standard error.
        mig_blocks_per_factor, mig_blocks_per_factor_se: {factor: gap}; null for a factor with a single value, or one
            that is known for fewer than two of the samples.
        mig_blocks_information: {factor: {block: I in nats}}.
    """
    encoded = subject.encoded
    generator = subject.generator()
    names = [*encoded.blocks, *(each.name for each in encoded.discrete)]
    factors = Factors.of(encoded.truth)
    keys = [f"mig_blocks{part}" for part in ("", "_se", "_per_factor", "_per_factor_se", "_information")]
    why, scales = factors.why_none(len(names), "block"), encoded.scale
    if why is not None or scales is None:
        return undefined(keys, why or NO_SCALE)
    rows = generator.choice(len(encoded), min(samples, len(encoded)), replace=False, shuffle=False)
    factors = factors.known_of(rows, at_least=2)
    if not factors.partitions:
        return undefined(keys, "no factor that varies is known of two of the samples")
    groups = factors.groups()
    terms = []
    for name, block in encoded.blocks.items():
        mean, scale = encoded.mean[:, block], widened(encoded.mean[:, block], scales[:, block])
        z = mean[rows] + scale[rows] * generator.standard_normal((len(rows), mean.shape[1]))
        watch = partial(subject.progress, what=f"mig_blocks, {name}")
        terms.append(log_ratios(relative_densities(z, rows, mean, scale, groups, watch), rows, factors, groups))
    for variable in encoded.discrete:
        exact = [categorical_information(variable, each) for each in factors.partitions]
        terms.append(np.tile(exact, (len(rows), 1)))
    return _result(names, np.stack(terms), rows, factors)


def widened(mean: Floats, scale: Floats) -> Floats:
    """Return the scales [N, D], those below ``NARROWEST`` times the range of the means raised to that; 1 if it is 0."""
    wide = np.maximum(scale, NARROWEST * np.ptp(mean, axis=0))
    return np.where(wide > 0, wide, 1.0)


def relative_densities(
    z: Floats, rows: Integers, mean: Floats, scale: Floats, groups: Groups, watch: Callable[[range], Iterable[int]]
) -> Floats:
    """Return Σ q(z_s|x_n)/q(z_s|x_own) over the rows n of each group, [Q, S].

    Relative to its own posterior, a sample's sum is 1 or more in its own groups, and cannot overflow: the probability
    of a ratio of R or more is at most 1/R under the posterior that the sample was drawn from.

    Args:
        z: [S, D], drawn from the posteriors of ``rows``.
        rows: [S].
        mean, scale: [N, D] each.
        groups: the Q groups of rows.
        watch: wraps the loop over tiles of rows, for progress.
    """
    centre = (mean.max(0) + mean.min(0)) / 2
    points = torch.from_numpy(z - centre)
    powers = torch.cat([points.square(), points, torch.ones_like(points[:, :1])], dim=1).T.contiguous()
    own = (_coefficients(mean[rows] - centre, scale[rows]) * powers.T).sum(1)
    # An additional group collects the rows without a group.
    count = len(groups.sizes) + 1
    chunks = list(zip(powers.split(_SAMPLES_AT_ONCE, dim=1), own.split(_SAMPLES_AT_ONCE), strict=True))
    sums = [torch.zeros(count, len(own_chunk), dtype=torch.float64) for _, own_chunk in chunks]
    for first in watch(range(0, len(mean), _ROWS_AT_ONCE)):
        tile = slice(first, first + _ROWS_AT_ONCE)
        coefficients = _coefficients(mean[tile] - centre, scale[tile])
        members = [torch.from_numpy(partition[tile] % count) for partition in groups.of_row]
        for (powers_chunk, own_chunk), sum_chunk in zip(chunks, sums, strict=True):
            ratio = torch.addmm(own_chunk, coefficients, powers_chunk, beta=-1).clamp_min_(_LEAST_LOG_RATIO).exp_()
            for group in members:
                sum_chunk.index_add_(0, group, ratio)
    return np.asarray(torch.cat(sums, dim=1)[:-1].numpy())


def _coefficients(mean: Floats, scale: Floats) -> torch.Tensor:
    """Return the coefficients of z², z and 1 in log N(z; mean, scale) + D/2 log 2π, [N, 2D + 1]."""
    precision = scale**-2
    constant = -(mean**2 * precision / 2 + np.log(scale)).sum(1, keepdims=True)
    return torch.from_numpy(np.concatenate([-precision / 2, mean * precision, constant], axis=1))


def log_ratios(densities: Floats, rows: Integers, factors: Factors, groups: Groups) -> Floats:
    """Return log q(z_s|v_s) − log q(z_s), [S, F], nats, from the sums of `relative_densities`; 0 where v is unknown."""
    ratios = np.zeros((len(rows), len(factors.partitions)))
    log_mean = np.log(np.maximum(densities, np.finfo(np.float64).tiny)) - np.log(groups.sizes)[:, None]
    for f, (each, values) in enumerate(zip(factors.partitions, groups.values, strict=True)):
        known = np.flatnonzero(each.part[rows] != UNKNOWN)
        given = log_mean[values][each.part[rows][known], known]
        ratios[known, f] = given - log_mean[groups.known[f], known]
    return ratios


def _result(names: list[str], terms: Floats, rows: Integers, factors: Factors) -> Result:
    """Return the metric's result from the terms of each block's information, [G, S, F]."""
    known = np.stack([each.part[rows] != UNKNOWN for each in factors.partitions], axis=1)
    count = known.sum(0)
    information = np.where(known, terms, 0).sum(1) / count
    gap = gaps(information, factors.entropies)
    second, first = np.argsort(information, axis=0)[-2:]
    every = np.arange(len(factors.partitions))
    # The two blocks use the same rows, so the error is that of their difference.
    difference = (terms[first, :, every] - terms[second, :, every]).T
    deviation = np.where(known, difference - np.where(known, difference, 0).sum(0) / count, 0)
    part_of_error = deviation / np.sqrt(count * (count - 1)) / factors.entropies
    error_of_mean = undefined(["mig_blocks_se"], ALL_NUISANCE)
    if len(factors.counted):
        error_of_mean = {"mig_blocks_se": float(np.sqrt((part_of_error[:, factors.counted].mean(1) ** 2).sum()))}
    return {
        **factors.mean("mig_blocks", gap),
        **error_of_mean,
        "mig_blocks_per_factor": factors.each(gap),
        "mig_blocks_per_factor_se": factors.each(np.sqrt((part_of_error**2).sum(0))),
        "mig_blocks_information": factors.informations(names, information),
    }
