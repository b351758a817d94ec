"""The log-density of a weighted mixture from the table of its components' log-densities, and the weights.

Shapes: S samples; M mixture components. Nats.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

# exp() of a float32 below about −87 leaves the vectorised path of most maths libraries; 1.8e-35 of the largest
# component is nothing beside the sum anyway, in float64 too.
SMALLEST = -80.0


@dataclass(frozen=True)
class Weights:
    """Log-weights of the components, each sample s having a component of its own, the one with its number.

    Attributes:
        rest: of every component, but for
        own: the sample's own, s, and
        following: the one after it, (s + 1) mod M.
    """

    rest: float
    own: float
    following: float

    @classmethod
    def uniform(cls, value: float) -> Self:
        """One weight for all."""
        return cls(value, value, value)

    def table(self, samples: int, components: int, *, first: int = 0, like: Tensor) -> Tensor:
        """Return the log-weights [S, M] of the samples from number ``first`` on, on the device and of the type of
        ``like``.
        """
        table = torch.full((samples, components), self.rest, device=like.device, dtype=like.dtype)
        if self.own != self.rest or self.following != self.rest:
            rows = torch.arange(samples, device=like.device)
            table[rows, (first + rows + 1) % components] = self.following
            table[rows, first + rows] = self.own
        return table


class _LogSumExp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(scaled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        peak = scaled.amax(dim=1, keepdim=True)
        shares = (scaled - peak).clamp_min_(SMALLEST).exp_()
        total = shares.sum(dim=1, keepdim=True)
        return (total.log() + peak).squeeze(1), shares, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, shares, total = output
        ctx.mark_non_differentiable(shares, total)
        ctx.save_for_backward(shares, total)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        shares, total = ctx.saved_tensors
        to_table: Tensor = shares * (grads[0][:, None] / total)
        return to_table


def log_prob(table: Tensor, weights: Tensor | float) -> Tensor:
    """log Σ_m exp(table_sm + weights_sm), [S, M] -> [S]; the log-weights are constants. Every row needs a finite entry.

    ``logsumexp`` in fewer passes over the table, forward and backward, and never in the slow range of exp().
    """
    constant = weights.detach() if isinstance(weights, Tensor) else weights
    results: tuple[Tensor, Tensor, Tensor] = _LogSumExp.apply(table + constant)
    return results[0]
