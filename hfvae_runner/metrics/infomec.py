"""InfoMEC: modularity, explicitness and compactness as information (Hsu et al. 2023, arXiv 2305.18378, Sec. 4).

Legend: N examples; F factors that vary (the paper's sources); A active latent variables; C columns of the code;
B random halves of the examples.

The authors' code and its copies call scikit-learn with arguments that versions from 1.8 on do not have
(``multi_class``), and divide zero by zero for an active variable without information on any factor.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.config.validation import Count, Rate
from hfvae_runner.metrics._neighbour_information import neighbour_information
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Result, Subject, Truth, undefined
from hfvae_runner.metrics.explicitness import standardised

_MODULARITY = ("infom", "infom_se", "infom_per_variable")
_COMPACTNESS = ("infoc", "infoc_se", "infoc_per_factor")
_INFORMATION = (*_MODULARITY, *_COMPACTNESS, "infomec_information")
_EXPLICITNESS = ("infoe", "infoe_se", "infoe_per_factor")
_ALL_NUISANCE = "all factors that vary are of nuisance"
_HALVES = 20
"""Random halves of the examples, over which two of the standard errors are computed."""
_TIES = 1e-10
"""Of the noise that separates equal values, for a deviation of 1."""


class Variable(NamedTuple):
    """A latent variable.

    Attributes:
        name: of the variable.
        values: posterior means [N], or the most probable categories [N].
        discrete: whether they are categories.
    """

    name: str
    values: NDArray[np.float64] | NDArray[np.int64]
    discrete: bool


def normalised_information(variable: Variable, factor: Integers, *, neighbours: int, seed: int) -> float:
    """Return I(s; z)/H(s) of a factor s [N] and a latent variable z, 0 … 1.

    By counting for a discrete variable; else by the nearest-neighbour estimator of Ross 2014, of the standardised
    values, which needs more than ``neighbours`` examples of a value to count them.
    """
    frequencies = np.unique(factor, return_counts=True)[1] / len(factor)
    entropy = -float((frequencies * np.log(frequencies)).sum())
    if variable.discrete:
        # Imported here because it takes a second.
        from sklearn.metrics import mutual_info_score

        return float(mutual_info_score(factor, variable.values)) / entropy
    column = _standardised(np.asarray(variable.values, float))
    column += _TIES * np.random.default_rng(seed).standard_normal(len(column))
    return neighbour_information(column, factor, neighbours) / entropy


def largest_shares(table: Floats) -> Floats:
    """Return (max/sum − 1/n)/(1 − 1/n) of each row of n ≥ 2 numbers, [*, n] -> [*]; 0 for a row of zeros."""
    n, totals = table.shape[-1], table.sum(axis=-1)
    shares = np.divide(table.max(axis=-1), totals, out=np.full(totals.shape, 1 / n), where=totals > 0)
    return np.asarray((shares - 1 / n) / (1 - 1 / n))


class Prediction(NamedTuple):
    """How well a linear classifier predicts a factor from the code.

    Attributes:
        shares: (H₀ − H)/H₀ of every example's log-loss H and that of a constant, H₀, [N]; at most 1.
        converged: whether the regression converged within its iterations.
    """

    shares: Floats
    converged: bool

    @property
    def explained(self) -> float:
        """The mean over the examples."""
        return float(self.shares.mean())


def explained_by_code(code: Floats, factor: Integers, *, iterations: int) -> Prediction:
    """Fit a logistic regression without penalty, with classes of equal weight, to a factor [N] of the code [N, C].

    It is scored on the rows that it is fitted to, as in the paper. A constant that is fitted with classes of equal
    weight gives each of the K values the probability 1/K, so that H₀ = log K.
    """
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if code.shape[1] == 0:
        return Prediction(np.zeros(len(factor)), True)
    regression = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=iterations)
    with warnings.catch_warnings():
        # The result reports it instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(code, factor)
    constant = np.log(len(regression.classes_))
    of_own_value = np.searchsorted(regression.classes_, factor)
    probabilities = regression.predict_proba(code)[np.arange(len(code)), of_own_value]
    # A regression that has not converged may give a value the probability 0.
    losses = -np.log(np.maximum(probabilities, np.finfo(float).eps))
    return Prediction((constant - losses) / constant, bool(regression.n_iter_[0] < iterations))


def infomec(subject: Subject, *, rows: Count, neighbours: Count, active: Rate, iterations: Count) -> Result:
    """Return `infom`, `infoc` and `infoe`: modularity, compactness and explicitness, 1 at best, and errors `…_se`.

    With NMI_ij = I(s_i; z_j)/H(s_i) of factor i and active latent variable j (`infomec_information`):

    - InfoM is the mean over variables of max_i NMI_ij / Σ_i NMI_ij, rescaled so that 1/F is 0.
    - InfoC is the mean over factors of max_j NMI_ij / Σ_j NMI_ij, rescaled so that 1/A is 0.
    - InfoE is the mean over factors of the share of its entropy that a linear classifier predicts from the whole code.

    Nuisance factors belong to the table, and their own values are reported, but means over factors omit them. InfoM
    needs two factors, InfoC two active variables. A row or column without information counts as 0. Rows where a factor
    is unknown are left out of its numbers. Examples that repeat, as those of ``test_sampled`` do, raise the information
    of continuous variables, since they are their own neighbours.

    A standard error is over draws of the examples, of the same code:

    - `infom_se` and `infoc_se` are the deviation over 20 random halves of the examples, with the variables that are
      active in all of them. They are null if a factor does not take two values, one of them twice, in each half.
    - `infoe_se` is the error of a mean over the examples, whose log-losses InfoE averages. It takes the
      regression as given; to first order this changes nothing if a factor's values are equally frequent.

    Args:
        rows: the number of examples, the first ones.
        neighbours: of the nearest-neighbour estimator.
        active: a continuous variable is active if the range of its means exceeds this share of the widest one's; a
            discrete one, if it takes two categories.
        iterations: the most iterations of each regression; `infoe_note` reports how many needed more.
    """
    encoded = subject.encoded.of_rows(slice(rows))
    factors = [each for each in encoded.truth if _is_estimable(each.values[each.values != UNKNOWN])]
    if not factors:
        return undefined((*_INFORMATION, *_EXPLICITNESS), "no factor takes two values, one of them in two examples")
    return {
        **_information(subject, encoded, factors, neighbours, active),
        **_explicitness(subject, encoded, factors, iterations),
    }


def _information(
    subject: Subject, encoded: Representation, factors: Sequence[Truth], neighbours: int, active: float
) -> Result:
    variables = list(_active(encoded, active))
    if not variables:
        return undefined(_INFORMATION, "no latent variable is active")
    generator = subject.generator()
    seed = int(generator.integers(1 << 32))
    parts = [np.arange(len(encoded)), *_halves(generator, factors)]
    steps = [(factor, variable, part) for part in parts for factor in factors for variable in variables]
    found = [_of_known(*step, neighbours, seed) for step in subject.progress(steps, "InfoMEC", len(steps))]
    tables = np.array(found).reshape(len(parts), len(factors), len(variables))
    of_factors, of_variables = [factor.name for factor in factors], [variable.name for variable in variables]
    rows = zip(of_factors, tables[0].tolist(), strict=True)
    result: dict[str, object] = {
        "infomec_information": {name: dict(zip(of_variables, row, strict=True)) for name, row in rows}
    }
    if len(factors) > 1:
        shares = largest_shares(tables.swapaxes(1, 2))
        per_variable = dict(zip(of_variables, shares[0].tolist(), strict=True))
        result |= {**_of_parts("infom", shares), "infom_per_variable": per_variable}
    else:
        result |= undefined(_MODULARITY, "it compares factors, and there is one that varies")
    if len(variables) > 1:
        shares = largest_shares(tables)
        per_factor = dict(zip(of_factors, shares[0].tolist(), strict=True))
        counted = shares[:, [not factor.nuisance for factor in factors]]
        result |= {**_of_parts("infoc", counted), "infoc_per_factor": per_factor}
    else:
        result |= undefined(_COMPACTNESS, "it compares latent variables, and one is active")
    return result


def _halves(generator: np.random.Generator, factors: Sequence[Truth]) -> list[Integers]:
    """Return the examples of each of the halves, or none if a factor is not estimable in one of them."""
    n = len(factors[0].values)
    halves = [generator.permutation(n)[: n // 2] for _ in range(_HALVES)]
    known = (values[values != UNKNOWN] for factor in factors for values in (factor.values[half] for half in halves))
    return halves if all(map(_is_estimable, known)) else []


def _of_parts(key: str, shares: Floats) -> dict[str, object]:
    """Return the mean share and its error, from the shares of all examples and of B halves of them, [1 + B, n]."""
    if shares.shape[1] == 0:
        return undefined((key, f"{key}_se"), _ALL_NUISANCE)
    mean, *halves = shares.mean(axis=1).tolist()
    if not halves:
        return {key: mean, **undefined((f"{key}_se",), "a factor has too few values in a random half of the examples")}
    # Given all examples, a mean over a half of them deviates as much as the mean over all does over draws of these.
    return {key: mean, f"{key}_se": float(np.std(halves, ddof=1))}


def _explicitness(subject: Subject, encoded: Representation, factors: Sequence[Truth], iterations: int) -> Result:
    code = np.hstack([encoded.mean, *(_one_hot(each.probabilities) for each in encoded.discrete)])
    per_factor: dict[str, float] = {}
    deviations: list[Floats] = []
    unfinished = 0
    for factor in subject.progress(factors, "InfoE", len(factors)):
        at = factor.values != UNKNOWN
        own, _ = standardised(code[at], code[at])
        found = explained_by_code(own, factor.values[at], iterations=iterations)
        per_factor[factor.name] = found.explained
        unfinished += not found.converged
        if not factor.nuisance:
            deviation = np.zeros(len(code))
            # Divided by the part that is known, whose mean it is.
            deviation[at] = (found.shares - found.explained) / at.mean()
            deviations.append(deviation)
    result: dict[str, object] = {"infoe_per_factor": per_factor}
    if deviations:
        mean = np.mean([per_factor[factor.name] for factor in factors if not factor.nuisance])
        error = np.mean(deviations, axis=0).std(ddof=1) / np.sqrt(len(code))
        result |= {"infoe": float(mean), "infoe_se": float(error)}
    else:
        result |= undefined(("infoe", "infoe_se"), _ALL_NUISANCE)
    if unfinished:
        result["infoe_note"] = f"{unfinished} of {len(factors)} regressions did not converge in {iterations} iterations"
    return result


def _active(encoded: Representation, share: float) -> Iterator[Variable]:
    """Yield the active variables."""
    ranges = np.ptp(encoded.mean, axis=0)
    for name, mean, width in zip(encoded.names, encoded.mean.T, ranges, strict=True):
        if width > share * ranges.max():
            yield Variable(name, mean, False)
    for each in encoded.discrete:
        categories = each.probabilities.argmax(axis=1)
        if np.ptp(categories) > 0:
            yield Variable(each.name, categories, True)


def _of_known(factor: Truth, variable: Variable, part: Integers, neighbours: int, seed: int) -> float:
    known = part[factor.values[part] != UNKNOWN]
    own = variable._replace(values=variable.values[known])
    return normalised_information(own, factor.values[known], neighbours=neighbours, seed=seed)


def _is_estimable(values: Integers) -> bool:
    """Return whether a factor takes two values, one of them more than once: a single one has no neighbours."""
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) > 1 and bool(counts.max() > 1)


def _standardised(values: Floats) -> Floats:
    """Return the values, [N], with mean 0 and deviation 1; 0 if they are constant."""
    (column,) = standardised(values[:, None], values[:, None])[:1]
    return column[:, 0] if column.shape[1] else np.zeros(len(values))


def _one_hot(probabilities: Floats) -> Floats:
    """Return the most probable category as columns, [N, K]."""
    return np.asarray(np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)])
