"""The generalised normal distribution, density ∝ exp(−|z|^p / s) (ISA paper, Sec. 3.1).

p = 2 is the normal distribution of variance s/2, p = 1 Laplace's of scale s; as p grows it tends to the uniform one
on [−1, 1].
"""

import math

import torch
from torch import Tensor


def log_prob(z: Tensor, p: Tensor, s: float) -> Tensor:
    """log p − log 2 − lgamma(1/p) − (log s)/p − |z|^p/s, elementwise; z and p broadcast. Nats."""
    constant = p.log() - math.log(2) - torch.lgamma(1 / p) - math.log(s) / p
    return constant - power(z.abs(), p) / s


def variance(p: Tensor, s: float) -> Tensor:
    """s^(2/p)·Γ(3/p)/Γ(1/p), elementwise."""
    return torch.exp(2 * math.log(s) / p + torch.lgamma(3 / p) - torch.lgamma(1 / p))


def draw(shape: tuple[int, ...], p: Tensor, s: float, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Samples of the given shape, to which p broadcasts; p lies on the generator's device.

    Reparameterised: gradients reach p.
    """
    p = p.to(dtype)
    magnitude = draw_norm(shape, 1, p, generator)
    return s ** (1 / p) * magnitude * signs(shape, generator, dtype)


def draw_norm(shape: tuple[int, ...], count: int, p: Tensor, generator: torch.Generator) -> Tensor:
    """Return the Lp norm of ``count`` independent variables of scale s = 1, drawn in one go: its p-th power ~
    Gamma(count/p).

    Reparameterised: gradients reach p, which broadcasts to the shape, gives the dtype and lies on the generator's
    device.
    """
    # Gamma(a) = Gamma(1 + a)·U^(1/a) (Marsaglia & Tsang 2000). Under the p-th root nothing is left that underflows,
    # where Gamma(1/p) itself rounds to 0 for large p.
    gamma = torch._standard_gamma((1 + count / p).expand(shape), generator=generator)
    uniform = 1 - torch.rand(shape, generator=generator, device=generator.device, dtype=p.dtype)
    return gamma ** (1 / p) * uniform ** (1 / count)


def signs(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """−1 or 1 with equal probability, drawn on the generator's device."""
    bits = torch.randint(2, shape, generator=generator, device=generator.device, dtype=dtype)
    return 2 * bits - 1


def power(x: Tensor, p: Tensor) -> Tensor:
    """x^p for x ≥ 0, elementwise, with gradients 0 (towards x and p) at x = 0, whatever p > 0."""
    zero = x == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, x) ** p)
