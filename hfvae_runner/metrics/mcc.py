"""The mean correlation coefficient: how well single latents recover the factors, up to order and sign.

It is used where models are identifiable (Hyvärinen & Morioka 2016; Khemakhem et al. 2020). Legend: N examples; D
continuous factors of the code; F ground-truth factors.
"""

from collections.abc import Sequence

import numpy as np

from hfvae_runner.config.validation import Flag
from hfvae_runner.metrics._columns import has_order
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Result, Subject, Truth, undefined

_KEYS = ("mcc_pearson", "mcc_spearman", "mcc_pearson_per_factor", "mcc_spearman_per_factor")


def absolute_correlation(code: Floats, values: Floats) -> Floats:
    """Return |r| of every column of the code [N, D] with the values [N], [D]; 0 for a constant column."""
    centred, target = code - code.mean(axis=0), values - values.mean()
    norms = np.sqrt((centred**2).sum(axis=0) * (target @ target))
    varied = (np.ptp(code, axis=0) > 0) & (norms > 0)
    return np.where(varied, np.abs(target @ centred) / np.where(varied, norms, 1), 0)


def assigned(correlation: Floats) -> tuple[Integers, Floats]:
    """Return the column assigned to each row of [F, D], −1 for none, and its correlation, 0 for none.

    No column is assigned to two rows, and the sum of the correlations is as large as possible.
    """
    # Imported here because it is slow.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(correlation, maximize=True)
    column, found = np.full(len(correlation), -1), np.zeros(len(correlation))
    column[rows], found[rows] = columns, correlation[rows, columns]
    return column, found


def mcc(subject: Subject, *, linear_map: Flag) -> Result:
    """Return `mcc_pearson` and `mcc_spearman`, the mean over factors of |r| between the factor and its latent, 0..1.

    Posterior means and factors are assigned one-to-one, so that the sum is largest. A factor without a latent counts as
    0. A latent without a factor does not count. `…_per_factor` has each factor's correlation, and `mcc_assignment` the
    latent that Pearson's correlation assigns to it.

    Only factors whose values are magnitudes count: the values of nuisance factors and of the label are names. Discrete
    variables have no order and do not count. Rows where a factor is unknown are left out of its correlations. A
    constant factor is null.

    Args:
        linear_map: whether to map the means to the factors by least squares first, which measures whether the factors
            are found up to a linear map. The map is fitted on the training split; if none is known, it is fitted on the
            first half of the examples and scored on the others. There is then no assignment to report.
    """
    encoded, fitted = subject.encoded, subject.train
    factors = [each for each in encoded.truth if has_order(each, encoded)]
    if not factors:
        return undefined(_KEYS, "no factor whose values are magnitudes is known")
    if not encoded.names:
        return undefined(_KEYS, "there are no continuous factors")
    code, rows = encoded.mean, slice(0, len(encoded))
    if linear_map:
        if fitted is None:
            half = len(encoded) // 2
            rows = slice(half, len(encoded))
            code = _mapped(encoded, factors, encoded, slice(0, half))
        else:
            code = _mapped(encoded, factors, fitted, slice(0, len(fitted)))
    usable = [each for each in factors if _varies(each.values[rows])]
    if not usable:
        return undefined(_KEYS, "no factor takes two values")
    result: dict[str, object] = {}
    for kind in ("pearson", "spearman"):
        table = np.stack([_correlation(code[rows], each, rows, ranked=kind == "spearman") for each in usable])
        column, found = assigned(table)
        each = dict(zip([factor.name for factor in usable], found.tolist(), strict=True))
        result |= {f"mcc_{kind}": float(found.mean()), f"mcc_{kind}_per_factor": _all(factors, each)}
        if kind == "pearson" and not linear_map:
            names = [None if d < 0 else encoded.names[d] for d in column.tolist()]
            result["mcc_assignment"] = dict(zip(each, names, strict=True))
    return result


def _varies(values: Integers) -> bool:
    known = values[values != UNKNOWN]
    return len(known) > 0 and bool(np.ptp(known) > 0)


def _correlation(code: Floats, factor: Truth, rows: slice, *, ranked: bool) -> Floats:
    """Return |r| of every column of these rows' code with the factor, [D], over the rows where it is known."""
    known = factor.values[rows] != UNKNOWN
    inputs, values = code[known], factor.magnitudes[rows][known]
    if ranked:
        from scipy.stats import rankdata

        inputs, values = rankdata(inputs, axis=0), rankdata(values)
    return absolute_correlation(inputs, values)


def _mapped(encoded: Representation, factors: Sequence[Truth], fitted: Representation, rows: slice) -> Floats:
    """Return the factors as predicted from the means by least squares, [N, F].

    The prediction is 0 for a factor that is unknown in all rows to fit on.
    """
    of_fitted = {each.name: each for each in fitted.truth}
    predicted = np.zeros((len(encoded), len(factors)))
    for k, factor in enumerate(factors):
        known = of_fitted[factor.name].values[rows] != UNKNOWN
        if not known.any():
            continue
        inputs, values = fitted.mean[rows][known], of_fitted[factor.name].magnitudes[rows][known]
        centre, level = inputs.mean(axis=0), values.mean()
        weights, *_ = np.linalg.lstsq(inputs - centre, values - level, rcond=None)
        predicted[:, k] = (encoded.mean - centre) @ weights + level
    return predicted


def _all(factors: Sequence[Truth], found: dict[str, float]) -> dict[str, float | None]:
    return {factor.name: found.get(factor.name) for factor in factors}
