"""The Laplace distribution, parametrised by location and the log of its scale b."""

import math

import torch
from torch import Tensor


def log_prob(z: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    """Return log Laplace(z; loc, exp(log_scale)), elementwise; the arguments broadcast. Nats."""
    return -(z - loc).abs() * torch.exp(-log_scale) - (log_scale + math.log(2))


def noise(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return standard Laplace noise of the given shape, drawn on the generator's device."""
    # The difference of two standard exponential variables needs no logarithm, whose argument could be 0.
    pair = torch.empty((2, *shape), device=generator.device, dtype=dtype).exponential_(generator=generator)
    return pair[0] - pair[1]


def sample(loc: Tensor, log_scale: Tensor, noise: Tensor) -> Tensor:
    """Return the reparameterised sample loc + exp(log_scale)·noise, elementwise; ``noise`` is standard Laplace."""
    return loc + torch.exp(log_scale) * noise
