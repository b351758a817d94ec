"""The input of every metric: a split as the encoder represents it, and the known properties of its examples.

Legend: N examples; D continuous factors; K categories. A latent *variable* is a continuous factor or a discrete one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.console import progress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Result = Mapping[str, object]
"""A metric's part of a split's section of metrics.json: numbers, mappings of numbers, or None with a ``NAME_why``."""
T = TypeVar("T")

UNKNOWN = -1

NO_SCALE = "the scales of the posteriors are not known"
NO_SAMPLE = "neither samples nor the scales of the posteriors are known"
NO_PRIOR = "the representation comes without its prior"
NO_TRAIN = "the training split is not known"
NO_MODEL = "the representation comes without its model"
NO_DENSITY = "the posterior of a quantised block is a point without a density"
"""Reasons why a metric is null for a representation that did not come from a run, or for a quantised one."""


@dataclass(frozen=True)
class Truth:
    """A known property of every example: a ground-truth factor, an attribute, or the label.

    Attributes:
        name: of the factor.
        values: [N], 0 … size−1, or UNKNOWN.
        size: the number of values that the factor has; not all of them need to occur.
        nuisance: whether means over factors omit it (β-TCVAE Sec. 6: shape, identity).
        numbers: the numeric meaning of the values, [N], for regressions and correlations; None if it equals ``values``.
    """

    name: str
    values: Integers
    size: int
    nuisance: bool = False
    numbers: Floats | None = None

    def of_rows(self, rows: slice | Integers) -> "Truth":
        """Return the property of some examples."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return replace(self, values=self.values[rows], numbers=numbers)

    @property
    def magnitudes(self) -> Floats:
        """The factor as real numbers, [N]; meaningless where it is UNKNOWN."""
        return self.values.astype(np.float64) if self.numbers is None else self.numbers


@dataclass(frozen=True)
class Categories:
    """One discrete variable.

    Attributes:
        name: of the variable.
        probabilities: q(c|x), [N, K].
        drawn: one sampled category per example, [N].
    """

    name: str
    probabilities: Floats
    drawn: Integers

    def of_rows(self, rows: slice | Integers) -> "Categories":
        """Return the variable of some examples."""
        return replace(self, probabilities=self.probabilities[rows], drawn=self.drawn[rows])


@dataclass(frozen=True)
class Representation:
    """N encoded examples in random order, so that any first part of them is a random part.

    Attributes:
        names: of the continuous factors, [D].
        mean: of q(z_d|x), [N, D].
        scale: of the normal q(z_d|x), [N, D]; None if only means are known.
        sample: one sample of q(z|x) per example, [N, D]; None if there is none.
        blocks: the continuous blocks' columns.
        discrete: the discrete variables.
        truth: what metrics of disentanglement compare with: the ground-truth factors, else the attributes, else the
            label; empty if nothing is known.
        label: the class; None if there are none.
    """

    names: tuple[str, ...]
    mean: Floats
    scale: Floats | None
    sample: Floats | None
    blocks: Mapping[str, slice]
    discrete: tuple[Categories, ...] = ()
    truth: tuple[Truth, ...] = ()
    label: Truth | None = None

    def __len__(self) -> int:
        return len(self.mean)

    def of_rows(self, rows: slice | Integers) -> "Representation":
        """Return the representation of some examples."""
        return replace(
            self,
            mean=self.mean[rows],
            scale=None if self.scale is None else self.scale[rows],
            sample=None if self.sample is None else self.sample[rows],
            discrete=tuple(each.of_rows(rows) for each in self.discrete),
            truth=tuple(each.of_rows(rows) for each in self.truth),
            label=None if self.label is None else self.label.of_rows(rows),
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all latent variables, the continuous ones first."""
        return (*self.names, *(each.name for each in self.discrete))


@dataclass(frozen=True)
class Subject:
    """The input of a metric. A representation that did not come from a run has no prior and no model.

    Attributes:
        encoded: the split to measure.
        train: the training split, which determines bins and the like for every split. It is ``encoded`` itself if that
            is the training split, and None if it is not known.
        seed: of this metric on this split. It does not depend on which other metrics are computed, or in which order.
        prior_sample: (n, seed) -> n samples of the continuous factors from the prior, [n, D]; None without a prior.
        prior_log_ratios: (n, seed) -> log p(z) − log q(z), [n], nats, at n samples of all latent variables from the
            prior; q(z) is the mixture of the split's N posteriors, with categories by their probabilities. None without
            a prior.
        log_weights: (examples [B], draws, seed) -> log p(x, z) − log q(z|x), [B, draws], nats, of that many samples for
            each example; None without a model.
        without_densities: the reason why the two functions above are None although there is a model; else None.
        supervised: the discrete variable whose category k was trained to be label k.
        show_progress: whether to show progress bars.
    """

    encoded: Representation
    train: Representation | None
    seed: int
    prior_sample: Callable[[int, int], Floats] | None = None
    prior_log_ratios: Callable[[int, int], Floats] | None = None
    log_weights: Callable[[Integers, int, int], Floats] | None = None
    without_densities: str | None = None
    supervised: str | None = None
    show_progress: bool = False

    def generator(self) -> np.random.Generator:
        """Return a new generator, which starts in the same state on every call."""
        return np.random.default_rng(self.seed)

    def progress(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Return the items, with a progress bar on the terminal if they take longer than a few seconds."""
        return progress(items, what, wanted=self.show_progress, total=total)


Metric = Callable[[Subject], Result]
"""A metric with its options bound."""


def undefined(keys: Sequence[str], why: str) -> dict[str, object]:
    """Return None for each key, with the reason as ``KEY_why``."""
    return {name: value for key in keys for name, value in ((key, None), (f"{key}_why", why))}
