"""A one-dimensional planar flow for each factor, from z to a standard normal base (Rezende & Mohamed 2015).

The β-TCVAE paper uses it in its ablation with a factorial flow prior. A step is
z_{k+1} = z_k + û_k·tanh(w_k·z_k + b_k), which increases in z if û·w > −1. In one dimension, Rezende & Mohamed ensure
this by û = (softplus(u·w) − 1)/w, which has a pole at w = 0. Here û·w = h(u·w) with h(x) = (x + √(x² + 4))/2 − 1. It
also maps the real line onto (−1, ∞), so the family of flows is the same. Because h(0) = 0, û is smooth in u and w
everywhere. u = 0 is the identity.

Shapes: B batch, F factors, K steps. u, w and b are unconstrained, [F, K] each.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hfvae_runner.distributions.normal import HALF_LOG_2PI


def log_prob(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return log N(base; 0, 1) + log|d base/dz|, z [B, F] -> [B, F]. Nats."""
    base, log_slope = forward(z, u, w, b)
    return log_slope - 0.5 * base.square() - HALF_LOG_2PI


def forward(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the base and log d base/dz, [B, F] each, of z [B, F]."""
    step, peak_slope = _constrained(u, w)
    slopes = []
    for step_k, slope_k, w_k, b_k in _steps(step, peak_slope, w, b):
        bend = torch.tanh(w_k * z + b_k)
        # 1 + û·w·(1 − tanh²) as a sum of positive terms, which rounding cannot make 0 or negative.
        slopes.append(bend.square() + slope_k * (1 - bend) * (1 + bend))
        z = z + step_k * bend
    return z, torch.stack(slopes).log().sum(0)


def inverse(base: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return z with forward(z) = base, by bisection: base [B, F] -> [B, F].

    The result is exact to rounding, unless the shifts |û| add up to thousands. Gradients to base, u, w and b follow
    from the implicit function theorem. Second derivatives are not supported.
    """
    with torch.no_grad():
        z = _bisection(base, u, w, b)
    image, log_slope = forward(z, u, w, b)
    residual = image - base
    slope = log_slope.detach().exp().clamp_min(torch.finfo(z.dtype).tiny)
    # One Newton step, of which only the gradient is used: its value would be noise where the flow is nearly flat.
    return z - (residual - residual.detach()) / slope


def _bisection(base: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    step, peak_slope = _constrained(u, w)
    # Each step shifts by less than |û|, so the bracket needs no search.
    reach = step.abs().sum(-1)
    low, high = base - reach, base + reach
    # As many halvings as the dtype has bits, and more for brackets wider than |z|.
    for _ in range(12 - int(math.log2(torch.finfo(base.dtype).eps))):
        middle = 0.5 * (low + high)
        image = middle
        for step_k, _, w_k, b_k in _steps(step, peak_slope, w, b):
            image = image + step_k * torch.tanh(w_k * image + b_k)
        below = image < base
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def _constrained(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return û and 1 + û·w, [F, K] each: a step's size, and its extreme slope, which is above 0."""
    x = u * w
    root = torch.hypot(x, torch.full_like(x, 2))
    # x + √(x² + 4), rewritten for x < 0 to avoid cancellation.
    twice_slope = torch.where(x < 0, 4 / (root + x.abs()), root + x)
    # û = u·h(x)/x, with x divided out.
    return u * (0.5 * (2 + twice_slope) / (2 + root)), 0.5 * twice_slope


def _steps(*parameters: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Iterate over the K steps' parameters, [F] each."""
    return zip(*(each.unbind(-1) for each in parameters), strict=True)
