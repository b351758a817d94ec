"""What a term is: a scalar of one batch's evidence, in nats per example."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


class Term(Protocol):
    """A scalar function of one batch's evidence; options are keyword arguments. ``sign`` is −1 for a reward."""

    @property
    def sign(self) -> int: ...

    def __call__(self, evidence: Any, **options: Any) -> Tensor: ...


@dataclass(frozen=True)
class MeanTerm:
    """A term that is the batch mean of a value per example.

    Attributes:
        per_example: the same quantity before the mean, [B].
        sign: how the term enters the loss.
    """

    per_example: Callable[..., Tensor]
    sign: int = 1

    def __call__(self, evidence: Any, **options: Any) -> Tensor:
        return self.per_example(evidence, **options).mean()


def batch_mean(per_example: Callable[..., Tensor]) -> MeanTerm:
    """Decorator: the term that averages ``per_example`` over the batch and enters the loss with a plus."""
    return MeanTerm(per_example)


def rewarded_batch_mean(per_example: Callable[..., Tensor]) -> MeanTerm:
    """Decorator: the same, entering the loss with a minus."""
    return MeanTerm(per_example, sign=-1)
