"""The interventional robustness score (Suter et al. 2019).

Legend: N examples; C columns of the code; L latent variables; M of them that some factor moves; J factors; G
combinations of factor values that occur.

A variable is robust for a factor if, while that factor is fixed, no values of the other factors change the variable.
The data are a grid of factor values, or part of one, so the effect of an intervention is observed where its values
occur.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.config.validation import Share
from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import Columns, columns
from hfvae_runner.metrics._gap import Factors
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Result, Subject, undefined

_ROUNDING = 1e-12
"""The largest deviation, relative to a variable's range, that rounding may cause where the exact value is 0."""
_KEYS = ("irs", "irs_per_variable")


class Robustness(NamedTuple):
    """The parts of the score.

    Attributes:
        irs: [M, J], IRS_ij of every variable that some factor moves and every factor, at most 1.
        deviation: [M], the largest distance of E[z_i|g] from E[z_i].
        variance: [M], of E[z_i|g] over the examples.
        moved: [L], whether some factor moves the variable; the other variables have no score.
    """

    irs: Floats
    deviation: Floats
    variance: Floats
    moved: NDArray[np.bool_]


def robustness(
    code: Columns,
    factors: Integers,
    *,
    quantile: float,
    progress: Callable[[Iterable[Integers]], Iterable[Integers]] = iter,
) -> Robustness:
    """Return IRS_ij = 1 − E_g[quantile_g' d(E[z_i|g_j = g], E[z_i|g_j = g, others = g'])] / max_g d(E[z_i], E[z_i|g]).

    Expectations, over g_j and over all rows, weight values by their frequency. In a quantile every combination counts
    once.

    Args:
        code: values [N, C]; the distance d is the sum of the absolute differences of a variable's columns.
        factors: [N, J], all known.
        quantile: 1 for the largest distance, as in the paper.
        progress: wraps the loop over the factors.
    """
    # So a constant column is 0, and its means are exactly 0.
    values = code.values - code.values[0]
    first, inverse, counts = _combinations(factors)
    means = np.stack([np.bincount(inverse, column) / counts for column in values.T], axis=1)
    share = counts / len(values)
    centred = means - share @ means
    deviation = code.sums(np.abs(centred)).max(axis=0)
    variance = code.sums(share @ centred**2)
    moved = deviation > _ROUNDING * code.sums(np.ptp(values, axis=0))
    disagreement = np.zeros((len(deviation), factors.shape[1]))
    for j, of_factor in enumerate(progress(factors[first].T)):
        for group in _groups(of_factor):
            weight = share[group].sum()
            within = code.sums(np.abs(means[group] - share[group] @ means[group] / weight))
            # Suter et al., PIDA, MPIDA and EMPIDA: the distance, its maximum over g', the expectation of that over g.
            disagreement[:, j] += weight * np.quantile(within, quantile, axis=0)
    irs = 1 - disagreement[moved] / deviation[moved, None]
    return Robustness(irs, deviation[moved], variance[moved], moved)


def irs(subject: Subject, *, quantile: Share, weights: Literal["deviation", "variance"]) -> Result:
    """Return `irs`, the weighted mean over the latent variables of max_j IRS_ij; `irs_per_variable` has each maximum.

    The code is the posterior means. A discrete variable's code is the vector of its probabilities, and its distance the
    total variation. All factors that vary count, including nuisance factors, because the definition has no mean over
    factors. Rows for which one of these is unknown are left out.

    A variable that no factor moves is null and has no weight. If a factor's value occurs in one combination only, no
    other combination can disagree with it, so few examples of many combinations score too high. The score may be
    negative: a group's mean and one of its combinations may lie on opposite sides of the overall mean, further apart
    than the largest deviation.

    Args:
        quantile: the quantile of the distances, from 0 to 1; the paper uses 1.
        weights: weights of the mean over variables: each variable's largest deviation from its mean, or its variance.

    Raises:
        ConfigError: quantile is above 1.
    """
    if quantile > 1:
        raise ConfigError(f"metrics.irs.quantile={quantile}: expected a number from 0 to 1")
    encoded = subject.encoded
    parts = [each.part for each in Factors.of(encoded.truth).partitions]
    table = np.array(parts, dtype=np.int64).reshape(len(parts), len(encoded)).T
    known = (table != UNKNOWN).all(axis=1)
    factors = table[known]
    factors = factors[:, (factors != factors[:1]).any(axis=0)]
    if factors.shape[1] < 2:
        found = f"among the examples with all factors known {factors.shape[1]} vary"
        return undefined(_KEYS, f"one factor is fixed while another varies; {found}, expected two or more")
    code = columns(encoded)
    # Half the sum of absolute differences of probabilities is their total variation.
    code.values[:, len(encoded.names) :] /= 2
    robust = robustness(
        code._replace(values=code.values[known]),
        factors,
        quantile=quantile,
        progress=lambda columns: subject.progress(columns, "irs", factors.shape[1]),
    )
    if not robust.moved.any():
        return undefined(_KEYS, "no factor moves any latent variable")
    best = robust.irs.max(axis=1)
    weight = robust.deviation if weights == "deviation" else robust.variance
    scores = iter(best.tolist())
    per_variable = {
        name: next(scores) if moved else None
        for name, moved in zip(encoded.variables, robust.moved.tolist(), strict=True)
    }
    return {"irs": float(weight @ best / weight.sum()), "irs_per_variable": per_variable}


def _combinations(factors: Integers) -> tuple[Integers, Integers, Integers]:
    """Return where each combination occurs first [G], each example's combination [N], and the number of each [G]."""
    of_example = np.zeros(len(factors), dtype=np.int64)
    # Combine one factor at a time, because the number of possible combinations may overflow an integer.
    for column in factors.T:
        of_example = np.unique(of_example * (column.max() + 1) + column, return_inverse=True)[1]
    _, first, counts = np.unique(of_example, return_index=True, return_counts=True)
    return first, of_example, counts


def _groups(values: Integers) -> Iterator[Integers]:
    """Yield the indices of each value that occurs."""
    order = np.argsort(values, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
