"""Shared parts of the metrics ``published_…``: the metrics of most published tables, as they were computed there.

Locatello et al. 2019 (and papers that compare with them) score posterior means, treat all factors alike, including
nuisance factors, and use classifiers. They draw examples anew, with replacement, from a full grid of factors. Here the
examples are the encoded ones, each at most once, with their frequencies. Their codes have no discrete variables. Here
one counts as a single variable: by its most probable category where codes are binned, otherwise by its probabilities.

Legend: N examples; M columns of the code; P latent variables; F factors.
"""

from typing import NamedTuple

import numpy as np

from hfvae_runner.metrics._columns import Columns, columns, split_rows
from hfvae_runner.metrics._subject import UNKNOWN, Floats, Integers, Subject, Truth

NO_FACTOR = "no factor takes two values among the examples to fit on and is known of one to score on"


class Task(NamedTuple):
    """One factor to predict from the code, with rows to fit on and rows to score on.

    Attributes:
        factor: its name.
        code, classes: the rows to fit on, [N, M] and [N].
        test_code, test_classes: the rows to score on, [n, M] and [n].
    """

    factor: str
    code: Floats
    classes: Integers
    test_code: Floats
    test_classes: Integers


def tasks(subject: Subject, train_rows: int, test_rows: int) -> tuple[Columns, list[Task]]:
    """Return the code of all rows, and a task for each factor with two values to fit on and one to score on.

    The first rows are to fit on and the next ones to score on, as from ``split_rows``.
    """
    encoded = subject.encoded
    code, (train, test) = columns(encoded), split_rows(len(encoded), train_rows, test_rows)
    return code, [task for factor in encoded.truth if (task := _task(factor, code.values, train, test)) is not None]


def _task(factor: Truth, code: Floats, train: slice, test: slice) -> Task | None:
    fitted, scored = (np.flatnonzero(factor.values[part] != UNKNOWN) + part.start for part in (train, test))
    classes = factor.values[fitted]
    if len(classes) == 0 or np.ptp(classes) == 0 or len(scored) == 0:
        return None
    return Task(factor.name, code[fitted], classes, code[scored], factor.values[scored])


def mean_over(subject: Subject, found: dict[str, float]) -> tuple[float, dict[str, float | None]]:
    """Return the mean over the factors with a score, at least one, and each factor's score, None for the others."""
    each = {factor.name: found.get(factor.name) for factor in subject.encoded.truth}
    return float(np.mean(list(found.values()))), each
