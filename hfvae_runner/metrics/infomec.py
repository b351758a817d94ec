"""InfoMEC: modularity, explicitness and compactness as information (Hsu et al. 2023, arXiv 2305.18378, Sec. 4).

Legend: N examples; F factors that vary (the paper's sources); A active latent variables; C columns of the code.

The authors' code and its copies call scikit-learn with arguments that versions from 1.8 on do not have
(``multi_class``), and divide zero by zero for an active variable without information on any factor.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.config.validation import Count, Rate
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Result, Subject, Truth, undefined
from hfvae_runner.metrics.explicitness import standardised

_INFORMATION = ("infom", "infoc", "infomec_information", "infom_per_variable", "infoc_per_factor")
_SEEDS = 1 << 32
"""scikit-learn takes no larger ones."""
_EXPLICITNESS = ("infoe", "infoe_per_factor")


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
    # Imported here because it takes a second.
    from sklearn.feature_selection import mutual_info_classif
    from sklearn.metrics import mutual_info_score

    entropy = float(mutual_info_score(factor, factor))
    if variable.discrete:
        return float(mutual_info_score(factor, variable.values)) / entropy
    column = _standardised(np.asarray(variable.values, float))[:, None]
    (found,) = mutual_info_classif(column, factor, discrete_features=False, n_neighbors=neighbours, random_state=seed)
    return float(found) / entropy


def largest_shares(table: Floats) -> Floats:
    """Return (max/sum − 1/n)/(1 − 1/n) of each row of n ≥ 2 numbers, [R, n] -> [R]; 0 for a row of zeros."""
    n, totals = table.shape[1], table.sum(axis=1)
    shares = np.divide(table.max(axis=1), totals, out=np.full(len(table), 1 / n), where=totals > 0)
    return np.asarray((shares - 1 / n) / (1 - 1 / n))


class Prediction(NamedTuple):
    """How well a linear classifier predicts a factor from the code.

    Attributes:
        explained: (H₀ − H)/H₀ of its log-loss H and that of a constant, H₀; at most 1.
        converged: whether the regression converged within its iterations.
    """

    explained: float
    converged: bool


def explained_by_code(code: Floats, factor: Integers, *, iterations: int) -> Prediction:
    """Fit a logistic regression without penalty, with classes of equal weight, to a factor [N] of the code [N, C].

    It is scored on the rows that it is fitted to, as in the paper. A constant that is fitted with classes of equal
    weight gives each of the K values the probability 1/K, so that H₀ = log K.
    """
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    if code.shape[1] == 0:
        return Prediction(0.0, True)
    regression = LogisticRegression(C=np.inf, class_weight="balanced", max_iter=iterations)
    with warnings.catch_warnings():
        # The result reports it instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(code, factor)
    constant = np.log(len(regression.classes_))
    loss = float(log_loss(factor, regression.predict_proba(code), labels=regression.classes_))
    return Prediction(float((constant - loss) / constant), bool(regression.n_iter_[0] < iterations))


def infomec(subject: Subject, *, rows: Count, neighbours: Count, active: Rate, iterations: Count) -> Result:
    """Return `infom`, `infoc` and `infoe`: modularity, compactness and explicitness, 1 at best.

    With NMI_ij = I(s_i; z_j)/H(s_i) of factor i and active latent variable j (`infomec_information`):

    - InfoM is the mean over variables of max_i NMI_ij / Σ_i NMI_ij, rescaled so that 1/F is 0.
    - InfoC is the mean over factors of max_j NMI_ij / Σ_j NMI_ij, rescaled so that 1/A is 0.
    - InfoE is the mean over factors of the share of its entropy that a linear classifier predicts from the whole code.

    Nuisance factors belong to the table, and their own values are reported, but means over factors omit them. InfoM
    needs two factors, InfoC two active variables. A row or column without information counts as 0. Rows where a factor
    is unknown are left out of its numbers. Examples that repeat, as those of ``test_sampled`` do, raise the information
    of continuous variables, since they are their own neighbours.

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
    seed = int(subject.generator().integers(_SEEDS))
    pairs = [(factor, variable) for factor in factors for variable in variables]
    found = [
        _of_known(variable, factor, neighbours, seed)
        for factor, variable in subject.progress(pairs, "InfoMEC", len(pairs))
    ]
    table = np.array(found).reshape(len(factors), len(variables))
    names = [variable.name for variable in variables]
    result: dict[str, object] = {
        "infomec_information": {
            factor.name: dict(zip(names, row, strict=True)) for factor, row in zip(factors, table.tolist(), strict=True)
        }
    }
    if len(factors) > 1:
        per_variable = largest_shares(table.T)
        each = dict(zip(names, per_variable.tolist(), strict=True))
        result |= {"infom": float(per_variable.mean()), "infom_per_variable": each}
    else:
        result |= undefined(("infom", "infom_per_variable"), "it compares factors, and there is one that varies")
    if len(variables) > 1:
        per_factor = dict(zip([factor.name for factor in factors], largest_shares(table).tolist(), strict=True))
        result |= {**_mean("infoc", per_factor, factors), "infoc_per_factor": per_factor}
    else:
        result |= undefined(("infoc", "infoc_per_factor"), "it compares latent variables, and one is active")
    return result


def _explicitness(subject: Subject, encoded: Representation, factors: Sequence[Truth], iterations: int) -> Result:
    code = np.hstack([encoded.mean, *(_one_hot(each.probabilities) for each in encoded.discrete)])
    per_factor: dict[str, float] = {}
    unfinished = 0
    for factor in subject.progress(factors, "InfoE", len(factors)):
        at = factor.values != UNKNOWN
        own, _ = standardised(code[at], code[at])
        found = explained_by_code(own, factor.values[at], iterations=iterations)
        per_factor[factor.name] = found.explained
        unfinished += not found.converged
    result: dict[str, object] = {**_mean("infoe", per_factor, factors), "infoe_per_factor": per_factor}
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


def _of_known(variable: Variable, factor: Truth, neighbours: int, seed: int) -> float:
    at = factor.values != UNKNOWN
    known = variable._replace(values=variable.values[at])
    return normalised_information(known, factor.values[at], neighbours=neighbours, seed=seed)


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


def _mean(key: str, per_factor: dict[str, float], factors: Sequence[Truth]) -> dict[str, object]:
    """Return the mean over the factors but those of nuisance, or null and the reason."""
    counted = [per_factor[factor.name] for factor in factors if not factor.nuisance]
    return {key: float(np.mean(counted))} if counted else undefined((key,), "all factors that vary are of nuisance")
