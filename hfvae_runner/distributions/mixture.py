"""The log-density of a weighted mixture from its table of component log-densities, with its own backward pass."""

from typing import Any

import torch
from torch import Tensor

# exp() of a float32 below about −87 leaves the vectorised path of most maths libraries; 1.8e-35 of the largest
# component is nothing beside the sum anyway, in float64 too.
_SMALLEST = -80.0


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, weights: Tensor | float) -> Tensor:
        scaled = table + weights
        peak = scaled.amax(dim=1, keepdim=True)
        scaled.sub_(peak).clamp_(min=_SMALLEST).exp_()
        total = scaled.sum(dim=1, keepdim=True)
        ctx.save_for_backward(scaled, total)
        return (total.log() + peak).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        scaled, total = ctx.saved_tensors
        return scaled * (grads[0][:, None] / total), None


def log_prob(table: Tensor, weights: Tensor | float) -> Tensor:
    """log Σ_m exp(table_sm + weights_sm), [S, M] -> [S]; the log-weights are constants. Every row needs a finite entry.

    ``logsumexp`` in fewer passes over the table, forward and backward, and never in the slow range of exp().
    """
    result: Tensor = _LogSumExp.apply(table, weights)
    return result
