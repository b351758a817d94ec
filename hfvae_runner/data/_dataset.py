"""The interface of a data set: its splits in memory, and their metadata.

Shapes: N examples; K ground-truth factors; A attributes; * the shape of one example.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hfvae_runner.config.names import Values
from hfvae_runner.data._examples import Examples, take
from hfvae_runner.data.factors import Factors, Grid
from hfvae_runner.errors import ConfigError

if TYPE_CHECKING:
    from hfvae_runner.data.pairs import Partners

_TEST = 10_000


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        x: [N, *]; uint8 images [N, C, H, W], 255 being 1.0, or float32 values (counts, too).
        labels: [N] int64 classes, or None.
        factors: [N, K] int16 or int32, each example's values of the data set's factors; None where it has none.
        attributes: [N, A] bool, what is true of each example beside its class; None where nothing is known.
        weights: [N] float64, in what proportion the examples are drawn; None for all alike.
        magnitudes: [N, K] float64, the numbers that the values of ``factors`` stand for, such as what lies in a bin;
            None where that is ``factors``.
    """

    x: Examples
    labels: Tensor | None = None
    factors: Tensor | None = None
    attributes: Tensor | None = None
    weights: Tensor | None = None
    magnitudes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> "Split":
        """Return the chosen examples, int64 [B], with all that is known of them."""
        every = (self.labels, self.factors, self.attributes, self.weights, self.magnitudes)
        known = (None if each is None else each[index] for each in every)
        return Split(take(self.x, index), *known)


@dataclass(frozen=True)
class Dataset:
    """A data set with its published split.

    Attributes:
        train: what is trained on; its size is the N of every estimator.
        test: never trained on, unless ``notes`` says otherwise.
        values: what the values of an example are, which says what likelihoods fit.
        label_names: one name a class; None where there are no labels.
        factors: the ground truth's factors, a ``Grid`` where the examples combine their values in every way; None
            where there are none.
        vocabulary: one word a value of an example, for documents.
        attribute_names: one name an attribute; None where there are none.
        notes: what a reader of the results must know about the data, by subject, for metrics.json.
        holdout: the training examples that ``dataset.holdout`` took away; None where it took none.
        test_sampled: the test split with the weights of ``dataset.sampling``; None where there are none.
        tested_on_train: whether the test split is a part of the training split, for want of a published one.
        digest: SHA-256 of a user's own files, in hexadecimal; None for a published data set.
        partners: draws the second example of each pair to train on; None where single examples are trained on.
    """

    train: Split
    test: Split
    values: Values
    label_names: tuple[str, ...] | None = None
    factors: Factors | None = None
    vocabulary: tuple[str, ...] | None = None
    attribute_names: tuple[str, ...] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    holdout: Split | None = None
    test_sampled: Split | None = None
    tested_on_train: bool = False
    digest: str | None = None
    partners: "Partners | None" = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.train.x.shape[1:])

    @property
    def varying_factors(self) -> int | None:
        """The number of ground-truth factors with two values or more; None without factors."""
        return None if self.factors is None else sum(size > 1 for size in self.factors.sizes)

    @property
    def n_classes(self) -> int | None:
        """How many classes the labels have; None without labels."""
        return None if self.label_names is None else len(self.label_names)


def subset(split: Split, n: int) -> Split:
    """Return a random part of n examples, in the split's order; by a fixed seed, so that a smaller part lies in a
    larger one.

    The whole split if it has no more than n.
    """
    if n >= len(split):
        return split
    # Part of the data set: the seed is not the run's.
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:n]
    return split.take(chosen.sort().values)


def reduced(dataset: Dataset, n: int | None) -> Dataset:
    """Return the data set with n random training examples, and at most as many random test examples; None leaves it
    alone.

    Raises:
        ConfigError: n is not a number of training examples.
    """
    if n is None:
        return dataset
    train = subset(dataset.train, _examples(n, dataset.train))
    test = subset(dataset.test, n)
    parts = (
        f"{n:,} random examples of {len(dataset.train):,} to train on, {len(test):,} of {len(dataset.test):,} to test"
    )
    return replace(dataset, train=train, test=test, notes={**dataset.notes, "subset": parts})


def without_split(
    everything: Split,
    values: Values,
    factors: Grid,
    n: int | None,
    notes: Mapping[str, str] | None = None,
    *,
    label_names: tuple[str, ...] | None = None,
) -> Dataset:
    """Return a data set without a published split: trained on all of it, or on n random examples, and tested on some of
    them.

    Args:
        everything: all examples.
        values: what theirs are.
        factors: the grid whose cells they are.
        n: ``dataset.subset``.
        notes: more to say.
        label_names: one name a class.

    Raises:
        ConfigError: n is not a number of examples.
    """
    train = everything if n is None else subset(everything, _examples(n, everything))
    said = {} if n is None else {"subset": f"{n:,} random examples of {len(everything):,}"}
    return tested_on_train(Dataset(train, train, values, label_names, factors, notes={**(notes or {}), **said}))


def tested_on_train(dataset: Dataset) -> Dataset:
    """Return the data set with some of its training examples as the test split, and a note that says so."""
    test = subset(dataset.train, _TEST)
    note = f"{len(test):,} random examples of the training set: the papers train on all images"
    return replace(dataset, test=test, notes={**dataset.notes, "test": note}, tested_on_train=True)


def _examples(n: int, split: Split) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= len(split):
        expected = f"a number of training examples from 1 to {len(split)}, or null"
        raise ConfigError(f"dataset.subset={n!r}: expected {expected}")
    return n


def as_float(x: Tensor) -> Tensor:
    """Convert examples to a network's input: uint8 images to floats from 0 to 1, floats unchanged."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def resized(images: Tensor, size: int | None) -> Tensor:
    """Images [N, C, H, W], uint8 or float32 from 0 to 1, at size×size pixels, bilinear with antialiasing.

    None leaves them alone.

    Raises:
        ConfigError: the size is not a whole number from 4 on.
    """
    if size is None:
        return images
    if not isinstance(size, int) or isinstance(size, bool) or size < 4:
        raise ConfigError(f"image_size={size!r}: expected a whole number of pixels from 4 on, or null")
    if images.shape[2:] == (size, size):
        return images

    def resized_piece(piece: Tensor) -> Tensor:
        made = interpolate(piece.float(), (size, size), mode="bilinear", antialias=True)
        return made.round().clamp(0, 255).byte() if images.dtype == torch.uint8 else made.clamp(0, 1)

    # In pieces, since a float copy of 70,000 images would take four times their memory.
    return torch.cat([resized_piece(piece) for piece in torch.split(images, 4096)])
