"""The log-density of a weighted mixture, from a table of its components' log-densities, and the log-weights.

Shapes: S samples; M mixture components. Nats.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

# Most maths libraries compute exp() of a float32 below about −87 on a slow, scalar path. A term of exp(−80) = 1.8e-35
# of the largest is below the sum's rounding, in float64 too.
SMALLEST = -80.0


@dataclass(frozen=True)
class Weights:
    """Log-weights of the components, where sample s has its own component, number s.

    Attributes:
        rest: log-weight of all other components.
        own: log-weight of the sample's own component, s.
        following: log-weight of the component after it, (s + 1) mod M.
    """

    rest: float
    own: float
    following: float

    @classmethod
    def uniform(cls, value: float) -> Self:
        """Return weights with the same log-weight for every component."""
        return cls(value, value, value)

    def table(self, samples: int, components: int, *, first: int = 0, like: Tensor) -> Tensor:
        """Return the log-weights [S, M] of samples ``first`` to first + S − 1, with ``like``'s device and dtype."""
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
    """Return log Σ_m exp(table_sm + weights_sm), [S, M] -> [S]. Nats.

    The log-weights receive no gradient. Every row must have a finite entry. Unlike ``torch.logsumexp``, it needs fewer
    passes over the table, forward and backward, and never evaluates exp() in its slow range.
    """
    constant = weights.detach() if isinstance(weights, Tensor) else weights
    results: tuple[Tensor, Tensor, Tensor] = _LogSumExp.apply(table + constant)
    return results[0]
