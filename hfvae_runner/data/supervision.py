"""Semi-supervision: labels or ground-truth factors of a fixed part of the training examples.

Labels are given to a discrete variable, whose category k stands for label k (HFVAE Fig. 10). Ground-truth factors are
given to latents (Locatello et al. 2020, "Disentangling factors of variation using few labels").

Shapes: N training examples; M of them with given factors; B batch; K given factors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

UNLABELLED = -1


@dataclass(frozen=True)
class Supervised:
    """Which examples of a batch have their label given.

    Attributes:
        block: the discrete block that stands for the label, by its name.
        labels: [B] int64; ``UNLABELLED`` where no label is given.
    """

    block: str
    labels: Tensor

    @property
    def given(self) -> Tensor:
        """Where there is a label, [B] bool."""
        return self.labels != UNLABELLED


@dataclass(frozen=True)
class Labelled:
    """The examples whose factors are given.

    Attributes:
        rows: the training examples, int64 [M].
        values: their values of the given factors, int64 [M, K].
    """

    rows: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> "Labelled":
        return Labelled(self.rows.to(device), self.values.to(device))


def some_examples(n: int, count: int) -> Tensor:
    """Return ``count`` of n examples in a random order, int64 [M], the same ones for every run of a data set."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:count]


def some_labels(labels: Tensor, fraction: float) -> Tensor:
    """Return the labels of a fixed part of each class, [N] -> [N]; ``UNLABELLED`` elsewhere.

    Of a class of n examples it is round(fraction·n) of them and at least one. Which ones depends on the data set
    alone: chosen by the run's seed or by a batch's number, all labels would come in over the seeds or the epochs.

    Args:
        labels: [N] int64.
        fraction: above 0, at most 1.
    """
    chosen = torch.full_like(labels, UNLABELLED)
    generator = torch.Generator().manual_seed(0)
    for label in torch.unique(labels):
        members = torch.nonzero(labels == label)[:, 0]
        count = max(1, round(fraction * len(members)))
        order = torch.randperm(len(members), generator=generator).to(members.device)
        chosen[members[order[:count]]] = label
    return chosen
