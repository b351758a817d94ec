"""The mutual information gap as its authors estimate it (Chen et al. 2018, section 4.1; rtqichen/beta-tcvae).

Legend: N examples; L latent variables; F factors; Q groups of rows; R repeats; S points.
"""

from typing import NamedTuple

import numpy as np

from hfvae_runner.config.validation import Count
from hfvae_runner.metrics._density_table import density_table
from hfvae_runner.metrics._gap import ALL_NUISANCE, Factors, Groups, categorical_information, gaps
from hfvae_runner.metrics._subject import NO_SCALE, Floats, Integers, Result, Subject, undefined


class Estimates(NamedTuple):
    """I(z; v) of one continuous factor, [R, F], nats, and the share of its rows whose posterior was widened."""

    information: Floats
    widened: float


def mig(subject: Subject, *, samples: Count, repeats: Count) -> Result:
    """Return the gap from sampled entropies: I(z; v) = H(z) − Σ_v p(v) H(z|v).

    A negative information counts as 0. The two largest of noisy informations are biased: the gap between two variables
    with equal information is never 0, and a single informative variable competes with the largest estimate of those
    without information. `mig_exact` has no such bias. A discrete variable is a latent variable like the others; it is
    enumerated.

    Args:
        samples: the most rows for H(z) and for each H(z|v), drawn without replacement.
        repeats: the number of independent estimates, each with new rows and new draws.

    Keys:
        mig: mean over the repeats and over the factors that are not nuisance, in 0 … 1.
        mig_sd: standard deviation of a single estimate, as the authors report it; mig_se: standard error of the mean
            over the repeats. Both measure the variation due to sampling with fixed posteriors; null with a single
            repeat.
        mig_per_factor, mig_per_factor_se: {factor: gap}; null for a factor with a single value.
        mig_widened: the largest share of rows, over the continuous factors, whose posterior is so narrow that it was
            widened to what the grid can hold (`_density_table`): 0 for all but nearly deterministic encoders.
    """
    encoded = subject.encoded
    factors, scale = Factors.of(encoded.truth), encoded.scale
    why = factors.why_none(len(encoded.variables))
    if why is not None or scale is None:
        keys = ["mig", "mig_sd", "mig_se", "mig_per_factor", "mig_per_factor_se", "mig_widened"]
        return undefined(keys, why or NO_SCALE)
    groups = factors.groups()
    seeds = subject.generator().integers(2**63, size=repeats)
    continuous = [
        sampled_information(encoded.mean[:, d], scale[:, d], factors, groups, samples, seeds, d)
        for d in subject.progress(range(len(encoded.names)), "mig")
    ]
    discrete = [
        np.tile([categorical_information(variable, each) for each in factors.partitions], (repeats, 1))
        for variable in encoded.discrete
    ]
    information = np.stack([*(each.information for each in continuous), *discrete], axis=1)
    gap = gaps(information, factors.entropies)
    return {
        **factors.mean("mig", gap.mean(0)),
        **_spread(factors, gap),
        "mig_per_factor": factors.each(gap.mean(0)),
        "mig_widened": max((each.widened for each in continuous), default=0.0),
    }


def sampled_information(
    mean: Floats, scale: Floats, factors: Factors, groups: Groups, samples: int, seeds: Integers, number: int
) -> Estimates:
    """Return I(z; v), nats, of one continuous factor with each of F factors, from its posteriors' means and scales.

    The densities are read from a table, to a relative 1e-6 on average, and not summed over the rows.

    Args:
        mean, scale: [N] each.
        factors, groups: the F ground-truth factors and their groups of rows.
        samples: the most rows of each group.
        seeds: [R]; each determines the rows of one repeat, which all continuous factors share, as in the authors' code.
        number: of the continuous factor, which determines its draws.
    """
    table = density_table(mean, scale, groups.of_row, groups.sizes)
    scale = np.maximum(scale, table.narrowest)
    members = groups.members
    information = np.empty((len(seeds), len(factors.partitions)))
    for repeat, seed in enumerate(seeds.tolist()):
        rows, group = chosen_rows(members, samples, np.random.default_rng(seed))
        z = mean + scale * np.random.default_rng([seed, number]).standard_normal(len(mean))
        log_density = np.log(table.at(group, z[rows]))
        entropy = -np.bincount(group, log_density) / np.bincount(group)
        # β-TCVAE, Eq. 5, with E[log q(z|v)] = −Σ_v p(v) H(z|v).
        given = [each.probabilities @ entropy[v] for each, v in zip(factors.partitions, groups.values, strict=True)]
        information[repeat] = entropy[groups.known] - given
    return Estimates(information, table.widened)


def chosen_rows(members: list[Integers], samples: int, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """Return rows of every group, at most ``samples`` of each and none twice, [S], and the group of each, [S]."""
    rows = [
        each[generator.choice(len(each), samples, replace=False, shuffle=False)] if len(each) > samples else each
        for each in members
    ]
    return np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(each) for each in rows])


def _spread(factors: Factors, gap: Floats) -> dict[str, object]:
    """Return standard deviations and errors over the repeats of the gaps [R, F]."""
    repeats = len(gap)
    if repeats < 2:
        return undefined(["mig_sd", "mig_se", "mig_per_factor_se"], "a spread needs two repeats or more")
    of_mean = undefined(["mig_sd", "mig_se"], ALL_NUISANCE)
    if len(factors.counted):
        sd = float(gap[:, factors.counted].mean(1).std(ddof=1))
        of_mean = {"mig_sd": sd, "mig_se": sd / repeats**0.5}
    return {**of_mean, "mig_per_factor_se": factors.each(gap.std(0, ddof=1) / repeats**0.5)}
