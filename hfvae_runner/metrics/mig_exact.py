"""The mutual information gap by quadrature, without sampling (Chen et al. 2018, section 4.1).

Legend: N examples; D continuous factors; L latent variables; F factors; V values of a factor; Q groups of rows.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hfvae_runner.metrics._density_table import DENSITY_ERROR, DensityTable, density_table
from hfvae_runner.metrics._gap import Factors, Groups, Partition, categorical_information, gaps
from hfvae_runner.metrics._subject import NO_SCALE, Floats, Result, Subject, undefined

_VALUES_AT_ONCE = 32


class Integral(NamedTuple):
    """An integral in nats, and an estimate of its error."""

    value: float
    error: float


def mig_exact(subject: Subject) -> Result:
    """Return the gap of the exact mixtures of posteriors, up to the precision of float64 and a grid.

    A discrete variable is a latent variable like the others; it is enumerated. The error of a gap is the sum of the
    errors of the two variables that determine it.

    Keys:
        mig_exact: mean over the factors that are not nuisance, in 0 … 1.
        mig_exact_error: how far it may be from the true value, for the densities of the widened posteriors.
        mig_exact_per_factor: the gap of each factor; null for a factor with a single value.
        mig_exact_information: {factor: {variable: I(z; v) in nats}}, of the factors that vary.
        mig_exact_widened: the largest share of rows, over the continuous factors, whose posterior is so narrow that it
            was widened to what the grid can hold (`_density_table`): 0 for all but nearly deterministic encoders.
    """
    encoded = subject.encoded
    factors, scale = Factors.of(encoded.truth), encoded.scale
    why = factors.why_none(len(encoded.variables))
    if why is not None or scale is None:
        keys = ["mig_exact", "mig_exact_error", "mig_exact_per_factor", "mig_exact_information", "mig_exact_widened"]
        return undefined(keys, why or NO_SCALE)
    groups = factors.groups()
    widened = [0.0]
    integrals = []
    for d in subject.progress(range(len(encoded.names)), "mig_exact"):
        table = density_table(encoded.mean[:, d], scale[:, d], groups.of_row, groups.sizes)
        integrals.append(factor_information(table, groups, factors.partitions))
        widened.append(table.widened)
    for variable in encoded.discrete:
        integrals.append([Integral(categorical_information(variable, each), 0.0) for each in factors.partitions])
    information, error = np.moveaxis(np.array(integrals), -1, 0)
    gap = gaps(information, factors.entropies)
    return {
        **factors.mean("mig_exact", gap),
        **factors.mean("mig_exact_error", gap_error(information, error, factors.entropies)),
        "mig_exact_per_factor": factors.each(gap),
        "mig_exact_information": factors.informations(encoded.variables, information),
        "mig_exact_widened": max(widened),
    }


def factor_information(table: DensityTable, groups: Groups, partitions: tuple[Partition, ...]) -> list[Integral]:
    """Return I(z; v) of one continuous factor with each of F ground-truth factors.

    The error is the sum of three parts: the difference from the sum over every second point, which is far larger than
    the sum's own error; the information that the mass outside the grid could have; and the effect of the densities' own
    error.
    """
    integrals = []
    for each, values in zip(partitions, groups.values, strict=True):
        p = torch.from_numpy(each.probabilities)
        integrand, mass = _integrand(table.density[values], p)
        fine, coarse = float(integrand.sum()) * table.step, float(integrand[::2].sum()) * 2 * table.step
        missing = float((1 - mass * table.step).abs() @ p)
        error = abs(fine - coarse) + missing * float(-p.log().min()) + DENSITY_ERROR * each.entropy
        integrals.append(Integral(fine, error))
    return integrals


def _integrand(density: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_v p(v) q(z|v) log(q(z|v)/q(z)) at each z [G], and Σ_z q(z|v) [V], from q(z|v) [V, G] and p(v) [V]."""
    whole = p @ density
    integrand, mass = torch.zeros_like(whole), []
    for some, weight in zip(density.split(_VALUES_AT_ONCE), p.split(_VALUES_AT_ONCE), strict=True):
        # β-TCVAE, Eq. 5; 0 · log 0 = 0.
        integrand += weight @ (torch.xlogy(some, some) - torch.xlogy(some, whole))
        mass.append(some.sum(1))
    return integrand, torch.cat(mass)


def gap_error(information: Floats, error: Floats, entropies: Floats) -> Floats:
    """Return how far each factor's gap may be from the true value, [F], from I(z_l; v_f) and its error, [L, F] each."""
    first_two = np.argsort(information, axis=0)[-2:]
    return np.asarray(np.take_along_axis(error, first_two, axis=0).sum(0) / entropies)
