"""Disentanglement, completeness and informativeness by regressions (Eastwood & Williams 2018, section 2).

Legend: N examples; M columns of the code; P latent variables; K factors; T targets of one factor.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import entr

from hfvae_runner.config.validation import Count, NonNegative
from hfvae_runner.errors import ConfigError
from hfvae_runner.metrics._columns import columns, has_order, split_rows
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Representation, Result, Subject, Truth, undefined

_KEYS = ("dci", "dci_error", "dci_per_variable", "dci_per_factor", "dci_error_per_factor")
_LASSO_ITERATIONS = 10_000
_BOOSTED_DEPTH = 3


class Fit(NamedTuple):
    """One regression of a factor on the code.

    Attributes:
        importance: of every column, ≥ 0, [M].
        predicted: the targets of the test rows, [n, T].
        converged: whether the regression converged.
    """

    importance: Floats
    predicted: Floats
    converged: bool = True


Regression = Callable[[Floats, Floats, Floats], Fit]
"""(code [N, M], targets [N, T], code of the test rows [n, M]) -> Fit."""


def concentration(importance: Floats) -> list[float | None]:
    """Return 1 − H_B(p) of each row's shares p, from [A, B] ≥ 0: 1 if one column has all of it, 0 if all are equal.

    The value is None for a row of zeros, which has no shares, and for B = 1, where the entropy to base B is 0/0.
    """
    total = importance.sum(axis=1)
    if importance.shape[1] < 2:
        return [None] * len(total)
    shares = importance / np.where(total > 0, total, 1)[:, None]
    # Eastwood & Williams, section 2: H_B(p) = −Σ_b p_b log_B p_b.
    values = np.clip(1 - entr(shares).sum(axis=1) / np.log(importance.shape[1]), 0, 1)
    return [value if some else None for value, some in zip(values.tolist(), total > 0, strict=True)]


def disentanglement(importance: Floats) -> float | None:
    """Return D = Σ_i ρ_i D_i from R [P, K], where ρ_i is variable i's share of R; None if no D_i is defined."""
    total = importance.sum(axis=1)
    each = [(weight, d) for weight, d in zip(total.tolist(), concentration(importance), strict=True) if d is not None]
    # Eastwood & Williams, section 2: ρ_i = Σ_j R_ij / Σ_ij R_ij. Only variables without importance have no D_i.
    return float(sum(weight * d for weight, d in each) / total.sum()) if each else None


def normalised_error(predicted: Floats, targets: Floats) -> float | None:
    """Return √(Σ_t MSE_t / Σ_t Var_t) of [n, T]: 0 for exact predictions, 1 for the mean; None if no target varies."""
    variance = targets.var(axis=0).sum()
    if not np.ptp(targets, axis=0).any():
        return None
    return float(np.sqrt(((predicted - targets) ** 2).mean(axis=0).sum() / variance))


def random_forest(code: Floats, targets: Floats, test: Floats, *, trees: int, depth: int, seed: int) -> Fit:
    """Fit a random forest. A column's importance is its share of the variance that splits explain."""
    # Imported here because it takes a second.
    from sklearn.ensemble import RandomForestRegressor

    # Use one job: several jobs add up the trees' predictions in a varying order.
    forest = RandomForestRegressor(trees, max_depth=depth, random_state=seed, n_jobs=1)
    forest.fit(code, targets if targets.shape[1] > 1 else targets[:, 0])
    return Fit(forest.feature_importances_, forest.predict(test).reshape(len(test), -1))


def gradient_boosting(code: Floats, targets: Floats, test: Floats, *, stages: int, seed: int) -> Fit:
    """Fit gradient boosted trees, one model per target.

    The importance is as in ``random_forest``, averaged over the targets.
    """
    # Imported here because it takes a second.
    from sklearn.ensemble import GradientBoostingRegressor

    fits = [
        GradientBoostingRegressor(n_estimators=stages, max_depth=_BOOSTED_DEPTH, random_state=seed).fit(code, target)
        for target in targets.T
    ]
    importance = np.mean([each.feature_importances_ for each in fits], axis=0)
    return Fit(importance, np.stack([each.predict(test) for each in fits], axis=1))


def lasso(code: Floats, targets: Floats, test: Floats, *, penalty: float) -> Fit:
    """Minimise ‖y − Xw‖²/(2N) + penalty·‖w‖₁ over w. The importance is |w|, averaged over targets."""
    # Imported here because it takes a second.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    model = Lasso(penalty, max_iter=_LASSO_ITERATIONS)
    with warnings.catch_warnings():
        # The result reports it instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(code, targets)
    importance = np.abs(model.coef_.reshape(targets.shape[1], -1)).mean(axis=0)
    converged = bool(np.max(model.n_iter_) < _LASSO_ITERATIONS)
    return Fit(importance, model.predict(test).reshape(len(test), -1), converged)


def dci(
    subject: Subject,
    *,
    regressor: Literal["random_forest", "lasso", "gradient_boosting"],
    train_rows: Count,
    test_rows: Count,
    trees: Count,
    depth: Count,
    penalty: NonNegative,
    stages: Count,
) -> Result:
    """Return `dci`: disentanglement, completeness and informativeness; 1 for a code that copies the factors.

    A regression of each factor on the posterior means gives the importance R_ij of variable i for factor j, summed over
    the probabilities of a discrete variable. `dci_per_variable` has the D_i and `dci_per_factor` the C_j. They are
    null, and not counted in the mean, where all importance is 0.

    `dci_error` is what Eastwood & Williams call informativeness, where lower is better: the mean over factors of
    `dci_error_per_factor`, the root mean squared error on the test rows divided by the factor's standard deviation. It
    is 0 at best, 1 for predictions of the mean, and more for worse ones. The informativeness here is 1 − `dci_error`.

    All factors that vary have a column of R, including nuisance factors, because a variable that mixes one of them with
    another factor is entangled. The means over factors omit nuisance factors. A factor of more than two values that are
    names (nuisance, or the label) is regressed as its one-hot code, with every column standardised.

    Args:
        regressor: the kind of regression.
        train_rows: the number of examples to fit on, the first ones.
        test_rows: the number of examples to score on, the next ones; with fewer examples both shrink in proportion.
        trees: number of trees of the random forest.
        depth: greatest depth of the random forest's trees.
        penalty: L1 penalty of the lasso, more than 0; `dci_note` reports how many of its regressions did not converge.
        stages: number of stages of the gradient boosting, one tree each.

    Raises:
        ConfigError: the lasso's penalty is 0.
    """
    if regressor == "lasso" and penalty == 0:
        raise ConfigError("metrics.dci.penalty=0: expected more than 0 for lasso")
    generator = subject.generator()

    def regression(code: Floats, targets: Floats, test: Floats) -> Fit:
        if regressor == "lasso":
            return lasso(code, targets, test, penalty=penalty)
        seed = int(generator.integers(2**31))
        if regressor == "random_forest":
            return random_forest(code, targets, test, trees=trees, depth=depth, seed=seed)
        return gradient_boosting(code, targets, test, stages=stages, seed=seed)

    train, test = split_rows(len(subject.encoded), train_rows, test_rows)
    factors = [factor for factor in subject.encoded.truth if _usable(factor, train, test)]
    if not factors:
        why = f"no factor varies over the {train.stop} examples to fit on and is known of one of the others"
        return undefined(_KEYS, why)
    fits = list(subject.progress(_fits(subject.encoded, factors, train, test, regression), "dci", len(factors)))
    importance = np.stack([fit.importance for fit, _ in fits], axis=1)
    result = _summary(subject.encoded, factors, importance, [error for _, error in fits])
    unfinished = sum(not fit.converged for fit, _ in fits)
    if unfinished:
        result["dci_note"] = f"{unfinished} regressions did not converge in {_LASSO_ITERATIONS} iterations"
    return result


def _usable(factor: Truth, train: slice, test: slice) -> bool:
    fitted, scored = (part[part != UNKNOWN] for part in (factor.values[train], factor.values[test]))
    return len(fitted) > 0 and bool(np.ptp(fitted) > 0) and len(scored) > 0


def _fits(
    encoded: Representation, factors: list[Truth], train: slice, test: slice, regression: Regression
) -> Iterator[tuple[Fit, float | None]]:
    """Yield every factor's regression with the importance of every variable, [P], and its error on the test rows."""
    code = columns(encoded)
    for factor in factors:
        fitted, scored = (np.flatnonzero(factor.values[part] != UNKNOWN) + part.start for part in (train, test))
        inputs, test_inputs = _standardised(code.values[fitted], code.values[scored])
        if has_order(factor, encoded):
            targets, truth = _standardised(factor.magnitudes[fitted, None], factor.magnitudes[scored, None])
        else:
            targets, truth = _named_targets(factor.values[fitted], factor.values[scored])
        fit = regression(inputs, targets, test_inputs)
        yield fit._replace(importance=code.sums(fit.importance)), normalised_error(fit.predicted, truth)


def _standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Return both, [·, M], standardised by the training rows' mean and deviation; columns constant in these are 0."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    constant = np.ptp(train, axis=0) == 0
    train, test = ((each - mean) / np.where(constant, 1, deviation) for each in (train, test))
    train[:, constant] = test[:, constant] = 0
    return train, test


def _named_targets(train: Integers, test: Integers) -> tuple[Floats, Floats]:
    """Return a factor's standardised one-hot code, [·, T], or one column if it has two values."""
    present = np.unique(train)
    if len(present) > 2:
        return _standardised(*((part[:, None] == present).astype(np.float64) for part in (train, test)))
    return _standardised(*(part[:, None].astype(np.float64) for part in (train, test)))


def _summary(
    encoded: Representation, factors: list[Truth], importance: Floats, errors: list[float | None]
) -> dict[str, object]:
    """Return the metric's result from R [P, K] and the factors' errors, [K]."""
    counted = [not factor.nuisance for factor in factors]
    names = [factor.name for factor in factors]
    complete = concentration(importance.T)
    error = _mean(errors, counted)
    parts = {
        "disentanglement": disentanglement(importance),
        "completeness": _mean(complete, counted),
        "informativeness": None if error is None else 1 - error,
    }
    why = {
        "disentanglement": "expected two factors or more that vary, and a latent variable that helps with one",
        "completeness": "expected two latent variables or more, and one that helps with a factor not of nuisance",
        "informativeness": "no factor but those of nuisance varies over the examples to score on",
    }
    unused: dict[str, float | None] = {factor.name: None for factor in encoded.truth}
    return {
        "dci": parts,
        "dci_error": error,
        "dci_per_variable": dict(zip(encoded.variables, concentration(importance), strict=True)),
        "dci_per_factor": unused | dict(zip(names, complete, strict=True)),
        "dci_error_per_factor": unused | dict(zip(names, errors, strict=True)),
        **{f"dci_{part}_why": why[part] for part, value in parts.items() if value is None},
        **({"dci_error_why": why["informativeness"]} if error is None else {}),
    }


def _mean(values: list[float | None], counted: list[bool]) -> float | None:
    defined = [value for value, counts in zip(values, counted, strict=True) if counts and value is not None]
    return float(np.mean(defined)) if defined else None
