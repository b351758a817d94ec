"""Separated attribute predictability: how far the best single variable is ahead of the second (Kumar et al. 2018).

Legend: N examples; M columns of the code; P latent variables; C classes, the values of a factor; T intervals.
"""

from typing import Literal, NamedTuple

import numpy as np

from hfvae_runner.config.validation import Count, NonNegative
from hfvae_runner.metrics._columns import Columns, columns, has_order, split_rows, varying
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Result, Subject, Truth, undefined

_KEYS = ("sap", "sap_per_factor")


def explained_variance(code: Columns, values: Floats) -> Floats:
    """R² of the linear regression of the values [N] on every latent variable alone, 0..1, [P].

    Of one column that is the squared correlation. A variable that is the same for all explains nothing.
    """
    centred, target = code.values - code.values.mean(axis=0), values - values.mean()
    # Kumar et al.: R² = Cov(z_i, v_j)² / (Var(z_i) Var(v_j)).
    covariance, variance = centred.T @ target / len(values), target @ target / len(values)
    explained = [
        covariance[part] @ np.linalg.pinv(centred[:, part].T @ centred[:, part] / len(values)) @ covariance[part]
        for part in code.parts()
    ]
    return np.asarray(np.clip(np.array(explained) / variance, 0, 1))


class Thresholds(NamedTuple):
    """A line that is cut into intervals, each with a class.

    Attributes:
        cuts: ascending, [T − 1]; a number that equals one lies above it.
        classes: of the T intervals.
    """

    cuts: Floats
    classes: Integers

    def predict(self, numbers: Floats) -> Integers:
        """Return the class of each number, [n]."""
        return self.classes[np.searchsorted(self.cuts, numbers, side="right")]


def best_thresholds(numbers: Floats, classes: Integers, intervals: int) -> Thresholds:
    """Return the cut into at most so many intervals that has the most balanced accuracy on these numbers: none is
    better.

    numbers, classes: [N] each, the latter 0 … C−1, all of which occur. A class may have several intervals, or none.
    """
    line, place = np.unique(numbers, return_inverse=True)
    items, counts = np.unique(place * (classes.max() + 1) + classes, return_counts=True)
    group, label = np.divmod(items, classes.max() + 1)
    first, of_interval = _best_intervals(group, label, counts / np.bincount(classes)[label], intervals)
    below, above = line[first[1:] - 1], line[first[1:]]
    middle = below + (above - below) / 2
    # Two neighbouring floating-point numbers have none between them.
    return Thresholds(np.where(middle > below, middle, above), of_interval)


def _best_intervals(group: Integers, label: Integers, gain: Floats, intervals: int) -> tuple[Integers, Integers]:
    """Return the first group of every interval and its class, for the most gain: by dynamic programming, exact.

    A group has the examples of one number. group, label, gain: [I], sorted by group and then by label: what an interval
    of that class gains by the group's examples of it.
    With best_t(g) the most that t intervals gain from the groups before g, one that begins at group s and ends with
    group e makes best_t(e+1) = best_{t−1}(s) + its own gain. So each class needs the running maximum of best_{t−1}(s)
    less what it gains before s: a few passes over the I gains for each t.
    """
    by_class = np.argsort(label, kind="stable")
    class_group, class_label, class_gain = group[by_class], label[by_class], gain[by_class]
    so_far = np.cumsum(class_gain)
    first_of_class = np.flatnonzero(np.diff(class_label, prepend=-1))
    so_far -= np.repeat((so_far - class_gain)[first_of_class], np.diff(first_of_class, append=len(label)))
    # A step up from class to class keeps the running maximum of one apart from the next one's.
    step = class_label * (class_label[-1] + 3.0)
    last_of_group = np.flatnonzero(np.diff(group, append=group[-1] + 1))
    best, steps = np.zeros(len(last_of_group) + 1), []
    for _ in range(intervals):
        start_value = best[class_group] - (so_far - class_gain)
        start = _running_argmax(start_value + step)
        value, begins = np.empty_like(gain), np.empty(len(gain), dtype=np.int32)
        value[by_class] = start_value[start] + so_far
        begins[by_class] = class_group[start]
        end = _running_argmax(value)[last_of_group]
        # One more that gains nothing by the last group may still help the next one to.
        if (value[end] <= best[1:] + 1e-12).all():
            break
        best[1:] = value[end]
        steps.append((begins[end], label[end].astype(np.int32)))
    first, classes, until = [], [], len(last_of_group)
    for begin, name in reversed(steps):
        if until > 0:
            classes.append(name[until - 1])
            until = begin[until - 1]
            first.append(until)
    return np.array(first[::-1], dtype=np.int64), np.array(classes[::-1], dtype=np.int64)


def _running_argmax(values: Floats) -> Integers:
    """Return the place of the largest value so far, the first of equal ones, [I]."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return np.maximum.accumulate(np.where(values > before, np.arange(len(values)), 0))


def balanced_accuracy(predicted: Integers, classes: Integers) -> float:
    """Return the mean over the classes that occur, 0 … C−1, of the share of their examples that are predicted, [n]
    each.
    """
    counts = np.bincount(classes)
    right = np.bincount(classes, predicted == classes)
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def predictability(train: Floats, train_values: Integers, test: Floats, test_values: Integers) -> float:
    """Return the balanced accuracy on test rows of the classifier of one variable that has the most on the training
    rows.

    train, test: the variable's columns, [N, 1] or [N, K]. One column is cut by one threshold less than there are
    classes. The most likely category of several stands for the class of which it has the largest share.
    """
    present, classes = np.unique(train_values, return_inverse=True)
    if train.shape[1] == 1:
        predicted = present[best_thresholds(train[:, 0], classes, len(present)).predict(test[:, 0])]
    else:
        shares = np.zeros((train.shape[1], len(present)))
        np.add.at(shares, (train.argmax(axis=1), classes), 1 / np.bincount(classes)[classes])
        stands_for = np.where(shares.any(axis=1), present[shares.argmax(axis=1)], UNKNOWN)
        predicted = stands_for[test.argmax(axis=1)]
    return balanced_accuracy(predicted, test_values)


def sap(
    subject: Subject,
    *,
    kind: Literal["by_factor", "regression", "classification"],
    train_rows: Count,
    test_rows: Count,
    least_std: NonNegative,
) -> Result:
    """`sap`: the mean of `sap_per_factor`, 0..1, without factors of nuisance: the best score less the second.

    By regression a variable's score for a factor is the R² of the linear regression of the factor's value, over all
    rows. By classification it is the balanced accuracy of the best thresholds on the variable, one less than the factor
    has values, fitted on some rows and scored on others: the paper scores the rows that they were fitted on, which
    favours factors of many values. A discrete variable scores the R² on all its probabilities, or the balanced accuracy
    of what its most likely category stands for.
    A variable that does not vary with the examples scores 0 (`_columns.varying`), as in the paper.
    Rows where a factor is unknown have no part in its scores; a factor without two values there is null.
    A code that copies independent factors has gaps of 1 by regression, of about 1 − 1/C by classification.

    kind: by_factor is classification of factors whose values are names, which are those of nuisance and the label, and
    regression of the others.
    train_rows, test_rows: for classification; of fewer examples both have their proportion.
    least_std: of a variable that varies.
    """
    encoded = subject.encoded
    if len(encoded.variables) < 2:
        return undefined(_KEYS, "a gap needs two latent variables or more, there is 1")
    code, kept = columns(encoded), varying(encoded, least_std)
    train, test = split_rows(len(encoded), train_rows, test_rows)
    gaps: dict[str, float | None] = {}
    for factor in subject.progress(encoded.truth, "sap", len(encoded.truth)):
        regressed = kind == "regression" or (kind == "by_factor" and has_order(factor, encoded))
        scores = _regressed(code, factor) if regressed else _classified(code, factor, train, test)
        if scores is None:
            gaps[factor.name] = None
        else:
            second, best = np.sort(scores * kept)[-2:].tolist()
            gaps[factor.name] = best - second
    nuisance = {factor.name for factor in encoded.truth if factor.nuisance}
    counted = [gap for name, gap in gaps.items() if gap is not None and name not in nuisance]
    if not counted:
        return undefined(_KEYS[:1], "no factor but those of nuisance has two values") | {"sap_per_factor": gaps}
    return {"sap": float(np.mean(counted)), "sap_per_factor": gaps}


def _regressed(code: Columns, factor: Truth) -> Floats | None:
    """Return the score of every variable, [P]; None for a factor without two values."""
    known = factor.values != UNKNOWN
    values = factor.magnitudes[known]
    if len(values) == 0 or np.ptp(values) == 0:
        return None
    return explained_variance(Columns(code.values[known], code.starts), values)


def _classified(code: Columns, factor: Truth, train: slice, test: slice) -> Floats | None:
    """Return the score of every variable, [P]; None for a factor without two values to fit on, or any to score on."""
    fitted, scored = (np.flatnonzero(factor.values[part] != UNKNOWN) + part.start for part in (train, test))
    values, truth = factor.values[fitted], factor.values[scored]
    if len(scored) == 0 or len(fitted) == 0 or np.ptp(values) == 0:
        return None
    parts = [code.values[:, part] for part in code.parts()]
    return np.array([predictability(part[fitted], values, part[scored], truth) for part in parts])
