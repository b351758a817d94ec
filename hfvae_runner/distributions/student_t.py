"""Student's t distribution with location 0, scale 1 and ν degrees of freedom (α-β paper, Sec. 6.1)."""

import math

import torch
from torch import Tensor


def log_prob(z: Tensor, nu: Tensor) -> Tensor:
    """log t(z; ν), elementwise; the arguments broadcast. Nats.

    lgamma((ν+1)/2) − lgamma(ν/2) − ½ log(ν·π) − (ν+1)/2 · log(1 + z²/ν).
    """
    # Two large numbers that nearly cancel: single precision loses the difference from ν of some hundreds on.
    half = nu.double() / 2
    constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * (2 * math.pi * half).log()
    return constant.to(z.dtype) - 0.5 * (nu + 1) * torch.log1p(z.square() / nu)


def draw(shape: tuple[int, ...], nu: Tensor, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Samples of the given shape, to which ν broadcasts; ν lies on the generator's device.

    A normal variable over the root of χ²/ν, reparameterised: gradients reach ν.
    """
    nu = nu.to(dtype).expand(shape)
    normal = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
    half_chi_squared = torch._standard_gamma(nu / 2, generator=generator)
    return normal * (0.5 * nu / half_chi_squared).sqrt()
