"""Separated attribute predictability: the gap between the best and the second best variable (Kumar et al. 2018).

Legend: N examples; M columns of the code; P latent variables; C classes, the values of a factor; T intervals.
"""

from typing import Literal, NamedTuple

import numpy as np

from hfvae_runner.config.validation import Count, NonNegative
from hfvae_runner.metrics._columns import Columns, columns, has_order, split_rows, varying
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Result, Subject, Truth, undefined

_KEYS = ("sap", "sap_per_factor")


def explained_variance(code: Columns, values: Floats) -> Floats:
    """Return R² of the linear regression of the values [N] on every latent variable alone, 0..1, [P].

    For one column this is the squared correlation. A variable that is constant explains nothing.
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
    """A partition of the real line into intervals, each with a class.

    Attributes:
        cuts: ascending, [T − 1]; a number that equals a cut belongs to the interval above it.
        classes: of the intervals, [T].
    """

    cuts: Floats
    classes: Integers

    def predict(self, numbers: Floats) -> Integers:
        """Return the class of each number, [n]."""
        return self.classes[np.searchsorted(self.cuts, numbers, side="right")]


def best_thresholds(numbers: Floats, classes: Integers, intervals: int) -> Thresholds:
    """Return the partition into at most ``intervals`` intervals with the highest balanced accuracy on these numbers.

    A class may have several intervals, or none.

    Args:
        numbers: [N].
        classes: [N], 0 … C−1, all of which occur.
        intervals: the most intervals.
    """
    line, place = np.unique(numbers, return_inverse=True)
    items, counts = np.unique(place * (classes.max() + 1) + classes, return_counts=True)
    group, label = np.divmod(items, classes.max() + 1)
    first, of_interval = _best_intervals(group, label, counts / np.bincount(classes)[label], intervals)
    below, above = line[first[1:] - 1], line[first[1:]]
    middle = below + (above - below) / 2
    # There is no number between two neighbouring floating-point numbers.
    return Thresholds(np.where(middle > below, middle, above), of_interval)


def _best_intervals(group: Integers, label: Integers, gain: Floats, intervals: int) -> tuple[Integers, Integers]:
    """Return the first group of every interval and its class, for the largest gain, exactly, by dynamic programming.

    A group has the examples of one number. group, label, gain: [I], sorted by group and then by label; the gain is what
    an interval of that class gains from the group's examples of it.

    Let best_t(g) be the largest gain of t intervals from the groups before g. An interval that begins at group s and
    ends with group e gives best_t(e+1) = best_{t−1}(s) + its own gain. So each class needs the running maximum of
    best_{t−1}(s) minus the class's gain before s: a few passes over the I gains for each t.
    """
    by_class = np.argsort(label, kind="stable")
    class_group, class_label, class_gain = group[by_class], label[by_class], gain[by_class]
    so_far = np.cumsum(class_gain)
    first_of_class = np.flatnonzero(np.diff(class_label, prepend=-1))
    so_far -= np.repeat((so_far - class_gain)[first_of_class], np.diff(first_of_class, append=len(label)))
    # A step up from class to class separates the running maximum of each class from that of the next.
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
        # An additional interval without a gain at the last group may still help a later interval.
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
    """Return the index of the largest value so far, the first of ties, [I]."""
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return np.maximum.accumulate(np.where(values > before, np.arange(len(values)), 0))


def balanced_accuracy(predicted: Integers, classes: Integers) -> float:
    """Return the mean over the classes that occur of the share of their examples predicted correctly, 0..1.

    ``predicted`` and ``classes`` are [n] each; classes are 0 … C−1.
    """
    counts = np.bincount(classes)
    right = np.bincount(classes, predicted == classes)
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def predictability(train: Floats, train_values: Integers, test: Floats, test_values: Integers) -> float:
    """Return the balanced accuracy on test rows of the one-variable classifier that is best on the training rows.

    One column is partitioned by one threshold fewer than there are classes. With several columns, the most likely
    category predicts the class of which it has the largest share.

    Args:
        train, test: the variable's columns, [N, 1] or [N, K].
        train_values, test_values: the factor's values, [N].
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
    """Return `sap`, the mean of `sap_per_factor` without nuisance factors, 0..1: the best score minus the second best.

    By regression, a variable's score for a factor is the R² of the linear regression of the factor's value, over all
    rows. By classification, it is the balanced accuracy of the best thresholds on the variable, one fewer than the
    factor has values, fitted on some rows and scored on others. The paper scores the rows that they were fitted on,
    which favours factors of many values. A discrete variable's score is the R² on all its probabilities, or the
    balanced accuracy of the class assigned to its most likely category.

    A variable that does not vary with the examples scores 0 (`_columns.varying`), as in the paper. Rows where a factor
    is unknown are left out of its scores. A factor without two values there is null. A code that copies independent
    factors has gaps of 1 by regression, and of about 1 − 1/C by classification.

    Args:
        kind: by_factor uses classification for factors whose values are names (nuisance factors and the label), and
            regression for the others.
        train_rows: for classification, the number of examples to fit on, the first ones.
        test_rows: for classification, the number of examples to score on, the next ones; with fewer examples both
            shrink in proportion.
        least_std: the least ratio of a varying variable's standard deviation between examples to its total one.
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
