"""What a model has to know of its data, so that it can be loaded where the data are not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import torch

from hfvae_runner.config.names import Values
from hfvae_runner.data._dataset import Dataset, Split
from hfvae_runner.data.factors import Factors
from hfvae_runner.errors import DataError

_STAND_INS = 256
_LARGEST = 1 << 28
_MOST_FACTORS = 10_000


@dataclass(frozen=True)
class Description:
    """The data of a run, without the examples.

    Attributes:
        input_shape: of one example.
        values: what the values of an example are.
        label_names: one name a class; None where there are no labels.
        examples: N, the training set's size.
        digest: SHA-256 of a user's own files; None for a published data set.
        varying_factors: the number of ground-truth factors with two values or more; None if there are none, and in
            folders of earlier versions.
    """

    input_shape: tuple[int, ...]
    values: Values
    label_names: tuple[str, ...] | None
    examples: int
    digest: str | None = None
    varying_factors: int | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> "Description":
        """Describe a data set."""
        known = (dataset.label_names, len(dataset.train), dataset.digest, dataset.varying_factors or None)
        return cls(dataset.input_shape, dataset.values, *known)

    @classmethod
    def from_json(cls, content: Mapping[str, object], where: str) -> "Description":
        """Read a description from the content of a file.

        Args:
            content: as ``to_json`` gives it.
            where: the file, for the message.

        Raises:
            DataError: it is not one.
        """
        shape, values, labels, examples = (content.get(key) for key in ("input_shape", "values", "labels", "examples"))
        if not _is_shape(shape):
            raise DataError(f"{where}: input_shape={shape!r}: expected one to three whole numbers from 1 on")
        if values not in get_args(Values):
            raise DataError(f"{where}: values={values!r}: expected one of {', '.join(get_args(Values))}")
        if labels is not None and not (isinstance(labels, list) and all(isinstance(each, str) for each in labels)):
            raise DataError(f"{where}: labels={labels!r}: expected a list of names, or null")
        if not _is_count(examples):
            raise DataError(f"{where}: examples={examples!r}: expected a whole number from 1 on")
        digest = content.get("digest")
        if digest is not None and not isinstance(digest, str):
            raise DataError(f"{where}: digest={digest!r}: expected text, or null")
        varying = content.get("varying_factors")
        if varying is not None and not (isinstance(varying, int) and _is_count(varying) and varying <= _MOST_FACTORS):
            raise DataError(f"{where}: varying_factors={varying!r}: expected a whole number from 1 on, or null")
        return cls(tuple(shape), values, None if labels is None else tuple(labels), examples, digest, varying)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, object]:
        """Return the content of a file."""
        labels = None if self.label_names is None else list(self.label_names)
        return {
            "input_shape": list(self.input_shape),
            "values": self.values,
            "labels": labels,
            "examples": self.examples,
            "digest": self.digest,
            "varying_factors": self.varying_factors,
        }

    def refuse_other(self, dataset: Dataset, folder: object) -> None:
        """Raise DataError where this, the data of the run in ``folder``, does not describe the data set.

        The number of examples may differ: a holdout that the run was not trained with takes some away.
        """
        before, now = self.to_json(), Description.of(dataset).to_json()
        free = {"examples"} if self.varying_factors is not None else {"examples", "varying_factors"}
        if changed := [key for key, value in now.items() if key not in free and value != before[key]]:
            raise DataError(f"{folder} was trained on other data ({', '.join(changed)} changed); expected the same")

    def stand_in(self) -> Dataset:
        """Return a data set of random examples with this description, from which a model's sizes follow.

        Parameters that a prior reads off its data are wrong afterwards; a checkpoint replaces them.
        """
        generator = torch.Generator().manual_seed(0)
        x = torch.rand(_STAND_INS, *self.input_shape, generator=generator)
        split = Split(x)
        n = self.varying_factors
        factors = None if n is None else Factors(tuple(f"factor {k}" for k in range(n)), (2,) * n)
        return Dataset(split, split, self.values, self.label_names, factors)


def _is_shape(shape: object) -> bool:
    sizes = shape if isinstance(shape, list) else []
    return 1 <= len(sizes) <= 3 and all(map(_is_count, sizes)) and math.prod(sizes) * _STAND_INS <= _LARGEST


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 40
