"""Student's t distribution with location 0, scale 1 and ν degrees of freedom (α-β paper, Sec. 6.1)."""

import math

import torch
from torch import Tensor


def log_prob(z: Tensor, nu: Tensor) -> Tensor:
    """Return log t(z; ν), elementwise; the arguments broadcast. Nats.

    It is lgamma((ν+1)/2) − lgamma(ν/2) − ½ log(ν·π) − (ν+1)/2 · log(1 + z²/ν).
    """
    # Two large numbers nearly cancel: for ν of some hundreds or more, single precision loses their difference.
    half = nu.double() / 2
    constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * (2 * math.pi * half).log()
    return constant.to(z.dtype) - 0.5 * (nu + 1) * torch.log1p(z.square() / nu)


def draw(shape: tuple[int, ...], nu: Tensor, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return reparameterised samples of the given shape, to which ν broadcasts.

    A sample is a normal variable divided by √(χ²/ν). ν must be on the generator's device. It receives gradients.
    """
    nu = nu.to(dtype).expand(shape)
    normal = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype)
    half_chi_squared = torch._standard_gamma(nu / 2, generator=generator)
    return normal * (0.5 * nu / half_chi_squared).sqrt()
