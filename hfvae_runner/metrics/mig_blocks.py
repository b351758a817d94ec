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
"""Of the means' range: with narrower scales the densities would lose their digits."""

# 1 MiB of densities, which stay in a core's cache.
_ROWS_AT_ONCE, _SAMPLES_AT_ONCE = 1024, 128
# Beside a sample's own 1 this is nothing, and the exponential of less, which underflows, takes five times as long.
_LEAST_LOG_RATIO = -700


def mig_blocks(subject: Subject, *, samples: Count) -> Result:
    """Eq. 6 of the β-TCVAE paper with blocks for latent variables: I(z_g; v) = E[log q(z_g|v) − log q(z_g)].

    A block is a continuous one, all its dimensions jointly, or a discrete variable: what a block knows of a factor may
    be spread over its own dimensions, and is lost where another block knows it too.
    samples: rows, without replacement, each with one draw, over which the expectation is taken; the densities are the
        exact mixtures of all posteriors. A discrete variable is enumerated, over all rows.

    Keys:
        mig_blocks: mean over the factors that are no nuisance, in 0 … 1; mig_blocks_se: its standard error.
        mig_blocks_per_factor, mig_blocks_per_factor_se: {factor: gap}; null for a factor with a single value, or one
            that fewer than two of the samples know.
        mig_blocks_information: {factor: {block: I in nats}}.

    The errors take the rows for a few of many: where most rows are samples, they are too large. A scale below 1e-5 of
    the range of its dimension's means is widened to that.
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
    """Return the scales [N, D], but for those too narrow against the range of the means; any, where nothing has a
    width.
    """
    wide = np.maximum(scale, NARROWEST * np.ptp(mean, axis=0))
    return np.where(wide > 0, wide, 1.0)


def relative_densities(
    z: Floats, rows: Integers, mean: Floats, scale: Floats, groups: Groups, watch: Callable[[range], Iterable[int]]
) -> Floats:
    """Σ q(z_s|x_n)/q(z_s|x_own) over the rows n of each group, [Q, S].

    z: [S, D], drawn from the posteriors of ``rows`` [S]; mean, scale: [N, D]; watch: sees the tiles go by.
    Relative to its own posterior a sample's sum is 1 or more in its own groups, and cannot overflow: a ratio of R or
    more has a probability of at most 1/R under the posterior that it was drawn from.
    """
    centre = (mean.max(0) + mean.min(0)) / 2
    points = torch.from_numpy(z - centre)
    powers = torch.cat([points.square(), points, torch.ones_like(points[:, :1])], dim=1).T.contiguous()
    own = (_coefficients(mean[rows] - centre, scale[rows]) * powers.T).sum(1)
    # One group more, for the rows that have none.
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
    """Of z², z and 1 in log N(z; mean, scale) + D/2 log 2π, [N, 2D + 1]."""
    precision = scale**-2
    constant = -(mean**2 * precision / 2 + np.log(scale)).sum(1, keepdims=True)
    return torch.from_numpy(np.concatenate([-precision / 2, mean * precision, constant], axis=1))


def log_ratios(densities: Floats, rows: Integers, factors: Factors, groups: Groups) -> Floats:
    """log q(z_s|v_s) − log q(z_s), [S, F], from the sums of `relative_densities`; 0 where v is not known."""
    ratios = np.zeros((len(rows), len(factors.partitions)))
    log_mean = np.log(np.maximum(densities, np.finfo(np.float64).tiny)) - np.log(groups.sizes)[:, None]
    for f, (each, values) in enumerate(zip(factors.partitions, groups.values, strict=True)):
        known = np.flatnonzero(each.part[rows] != UNKNOWN)
        given = log_mean[values][each.part[rows][known], known]
        ratios[known, f] = given - log_mean[groups.known[f], known]
    return ratios


def _result(names: list[str], terms: Floats, rows: Integers, factors: Factors) -> Result:
    """From the terms of each block's information, [G, S, F]."""
    known = np.stack([each.part[rows] != UNKNOWN for each in factors.partitions], axis=1)
    count = known.sum(0)
    information = np.where(known, terms, 0).sum(1) / count
    gap = gaps(information, factors.entropies)
    second, first = np.argsort(information, axis=0)[-2:]
    every = np.arange(len(factors.partitions))
    # The two blocks saw the same samples' rows, so their difference is what varies.
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
