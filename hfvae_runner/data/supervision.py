"""Semi-supervision: a fixed part of the training labels is given to a discrete variable (HFVAE Fig. 10).

Shapes: N training examples; B batch. Category k stands for label k.
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
