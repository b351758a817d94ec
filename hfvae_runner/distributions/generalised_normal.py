"""The generalised normal distribution, density ∝ exp(−|z|^p / s) (ISA paper, Sec. 3.1).

p = 2 gives the normal distribution of variance s/2, and p = 1 the Laplace distribution of scale s. As p grows, it
tends to the uniform distribution on [−1, 1].
"""

import math

import torch
from torch import Tensor


def log_prob(z: Tensor, p: Tensor, s: float) -> Tensor:
    """Return log p − log 2 − lgamma(1/p) − (log s)/p − |z|^p/s, elementwise; z and p broadcast. Nats."""
    constant = p.log() - math.log(2) - torch.lgamma(1 / p) - math.log(s) / p
    return constant - power(z.abs(), p) / s


def variance(p: Tensor, s: float) -> Tensor:
    """Return the variance s^(2/p)·Γ(3/p)/Γ(1/p), elementwise."""
    return torch.exp(2 * math.log(s) / p + torch.lgamma(3 / p) - torch.lgamma(1 / p))


def draw(shape: tuple[int, ...], p: Tensor, s: float, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return reparameterised samples of the given shape, to which p broadcasts.

    p must be on the generator's device. It receives gradients.
    """
    p = p.to(dtype)
    magnitude = draw_norm(shape, 1, p, generator)
    return s ** (1 / p) * magnitude * signs(shape, generator, dtype)


def draw_norm(shape: tuple[int, ...], count: int, p: Tensor, generator: torch.Generator) -> Tensor:
    """Return reparameterised samples of the Lp norm of ``count`` independent variables of scale s = 1.

    The norm's p-th power follows Gamma(count/p), so the norm is drawn directly. p broadcasts to the shape, determines
    the dtype, must be on the generator's device, and receives gradients.
    """
    # Gamma(a) = Gamma(1 + a)·U^(1/a) (Marsaglia & Tsang 2000). With the p-th root taken of each factor nothing
    # underflows, whereas Gamma(1/p) itself rounds to 0 for large p.
    gamma = torch._standard_gamma((1 + count / p).expand(shape), generator=generator)
    uniform = 1 - torch.rand(shape, generator=generator, device=generator.device, dtype=p.dtype)
    return gamma ** (1 / p) * uniform ** (1 / count)


def signs(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return −1 or 1 with equal probability, in the given shape, drawn on the generator's device."""
    bits = torch.randint(2, shape, generator=generator, device=generator.device, dtype=dtype)
    return 2 * bits - 1


def power(x: Tensor, p: Tensor) -> Tensor:
    """Return x^p for x ≥ 0 and p > 0, elementwise; at x = 0 the gradients to x and p are 0."""
    zero = x == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x) ** p)
