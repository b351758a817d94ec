"""A one-dimensional planar flow per factor, from z to a standard normal base (Rezende & Mohamed 2015; β-TCVAE paper,
ablation with a factorial flow prior).

z_{k+1} = z_k + û_k·tanh(w_k·z_k + b_k), increasing in z as long as û·w > −1. Rezende & Mohamed keep it so by
û = (softplus(u·w) − 1)/w in one dimension, which has a pole at w = 0. Here û·w = h(u·w) with
h(x) = (x + √(x² + 4))/2 − 1, which maps the line onto (−1, ∞) as well, so the flows are the same ones; and since
h(0) = 0, û is smooth in u and w everywhere. u = 0 is the identity.

Shapes: B batch, F factors, K steps. u, w and b are unconstrained, [F, K] each.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hfvae_runner.distributions.normal import HALF_LOG_2PI


def log_prob(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """log N(base; 0, 1) + log|d base/dz|, z [B, F] -> [B, F]. Nats."""
    base, log_slope = forward(z, u, w, b)
    return log_slope - 0.5 * base.square() - HALF_LOG_2PI


def forward(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(base, log d base/dz), each [B, F], of z [B, F]."""
    step, peak_slope = _constrained(u, w)
    slopes = []
    for step_k, slope_k, w_k, b_k in _steps(step, peak_slope, w, b):
        bend = torch.tanh(w_k * z + b_k)
        # 1 + û·w·(1 − tanh²) as a sum of positive terms: no rounding makes it 0 or less.
        slopes.append(bend.square() + slope_k * (1 - bend) * (1 + bend))
        z = z + step_k * bend
    return z, torch.stack(slopes).log().sum(0)


def inverse(base: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """z with forward(z) = base, by bisection: base [B, F] -> [B, F].

    Exact to rounding, unless the shifts |û| add up to thousands. Gradients reach base, u, w and b by the implicit
    function theorem; there are no second ones.
    """
    with torch.no_grad():
        z = _bisection(base, u, w, b)
    image, log_slope = forward(z, u, w, b)
    residual = image - base
    slope = log_slope.detach().exp().clamp_min(torch.finfo(z.dtype).tiny)
    # One Newton step of which only the gradient is kept: where the flow is nearly flat its value would be noise.
    return z - (residual - residual.detach()) / slope


def _bisection(base: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    step, peak_slope = _constrained(u, w)
    # Each step shifts by less than |û|, which is a bracket without a search.
    reach = step.abs().sum(-1)
    low, high = base - reach, base + reach
    # As many halvings as the dtype has bits, and some for brackets wider than z is large.
    for _ in range(12 - int(math.log2(torch.finfo(base.dtype).eps))):
        middle = 0.5 * (low + high)
        image = middle
        for step_k, _, w_k, b_k in _steps(step, peak_slope, w, b):
            image = image + step_k * torch.tanh(w_k * image + b_k)
        below = image < base
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def _constrained(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """(û, 1 + û·w), each [F, K]: the step's size and its slope where it is steepest or flattest, above 0."""
    x = u * w
    root = torch.hypot(x, torch.full_like(x, 2))
    # x + √(x² + 4), for x < 0 without the cancellation.
    twice_slope = torch.where(x < 0, 4 / (root + x.abs()), root + x)
    # û = u·h(x)/x, with x divided out.
    return u * (0.5 * (2 + twice_slope) / (2 + root)), 0.5 * twice_slope


def _steps(*parameters: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return the K steps' parameters, [F] each."""
    return zip(*(each.unbind(-1) for each in parameters), strict=True)
