"""One optimiser step as a function of (batch, noise, knobs); how it runs is decided here and nowhere else."""

from collections.abc import Callable

import torch
from torch import Tensor

LossFunction = Callable[..., tuple[Tensor, dict[str, Tensor]]]
Step = Callable[..., tuple[Tensor, dict[str, Tensor]]]


def eager(loss_of: LossFunction, optimizer: torch.optim.Optimizer) -> Step:
    """Forward, backward and update in plain eager mode.

    Args:
        loss_of: (batch, noise, knobs) -> (loss, terms), a pure function of these and the parameters.
        optimizer: over the same parameters.

    Returns:
        The step: the same arguments, the same results detached, and the parameters moved.
    """

    def step(*inputs: object) -> tuple[Tensor, dict[str, Tensor]]:
        optimizer.zero_grad(set_to_none=True)
        loss, terms = loss_of(*inputs)
        loss.backward()
        optimizer.step()
        return loss.detach(), terms

    return step
