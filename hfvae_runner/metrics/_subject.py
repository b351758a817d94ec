"""What every metric is given: a split as the encoder sees it, and what is known about its examples.

Legend: N examples; D continuous factors; K categories. A latent *variable* is a continuous factor or a discrete one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.console import progress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Result = Mapping[str, object]
"""Part of a split's section of metrics.json: numbers, mappings of numbers, or None beside a ``NAME_why``."""
T = TypeVar("T")

UNKNOWN = -1

NO_SCALE = "the scales of the posteriors are not known"
NO_SAMPLE = "neither samples nor the scales of the posteriors are known"
NO_PRIOR = "the representation comes without its prior"
NO_TRAIN = "the training split is not known"
NO_MODEL = "the representation comes without its model"
"""Why a metric is null for a representation from elsewhere."""


@dataclass(frozen=True)
class Truth:
    """One thing that is known of every example: a ground-truth factor, an attribute, or the label.

    Attributes:
        name: of the factor.
        values: [N], 0 … size−1, or UNKNOWN.
        size: how many values the factor has; not all of them need to occur.
        nuisance: whether it is left out of means over factors (β-TCVAE Sec. 6: shape, identity).
        numbers: what the values stand for, [N], for regressions and correlations; None where that is ``values``.
    """

    name: str
    values: Integers
    size: int
    nuisance: bool = False
    numbers: Floats | None = None

    @property
    def magnitudes(self) -> Floats:
        """The factor as real numbers, [N]; without a meaning where it is UNKNOWN."""
        return self.values.astype(np.float64) if self.numbers is None else self.numbers


@dataclass(frozen=True)
class Categories:
    """One discrete variable.

    Attributes:
        name: of the variable.
        probabilities: q(c|x), [N, K].
        drawn: one draw of it an example, [N].
    """

    name: str
    probabilities: Floats
    drawn: Integers


@dataclass(frozen=True)
class Representation:
    """N encoded examples, in a random order: any first part of them is a random part.

    Attributes:
        names: of the continuous factors, [D].
        mean: of q(z_d|x), [N, D].
        scale: of the normal q(z_d|x), [N, D]; None where only means are known.
        sample: one draw of it an example, [N, D]; None where there is none.
        blocks: the continuous blocks' columns.
        discrete: the discrete variables.
        truth: what metrics of disentanglement compare with: the ground-truth factors, else the attributes, else the
            label; empty where nothing is known.
        label: the class; None where there are none.
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

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all latent variables, the continuous ones first."""
        return (*self.names, *(each.name for each in self.discrete))


@dataclass(frozen=True)
class Subject:
    """What is measured, and with what. A representation from elsewhere comes without prior and model.

    Attributes:
        encoded: the split.
        train: the training split, which fixes bins and the like for every split; ``encoded`` itself where it is that;
            None where it is not known.
        seed: of this metric on this split: whatever else is measured, and in whatever order, changes nothing.
        prior_sample: draws of the continuous factors from the prior, (how many, seed) -> [n, D]; None without a prior.
        prior_log_ratios: (how many, seed) -> log p(z) − log q(z) at draws z of all latent variables from the prior,
            [n], nats; q(z) is the mixture of the split's N posteriors, with categories by their probabilities. None
            without a prior.
        log_weights: (examples [B], draws, seed) -> log p(x, z) − log q(z|x) of so many samples each, [B, draws], nats;
            None without a model.
        supervised: the discrete variable whose category k was trained to be label k.
        show_progress: whether bars are wanted.
    """

    encoded: Representation
    train: Representation | None
    seed: int
    prior_sample: Callable[[int, int], Floats] | None = None
    prior_log_ratios: Callable[[int, int], Floats] | None = None
    log_weights: Callable[[Integers, int, int], Floats] | None = None
    supervised: str | None = None
    show_progress: bool = False

    def generator(self) -> np.random.Generator:
        """Return a new one, in the same state every time."""
        return np.random.default_rng(self.seed)

    def progress(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Return the items, with a bar on the terminal if they take longer than a few seconds."""
        return progress(items, what, wanted=self.show_progress, total=total)


Metric = Callable[[Subject], Result]
"""One with its options."""


def undefined(keys: Sequence[str], why: str) -> dict[str, object]:
    """null for each key, with the reason beside it."""
    return {name: value for key in keys for name, value in ((key, None), (f"{key}_why", why))}
