"""A prior with one learned number, whose gradients have a closed form."""

import math

import torch
from torch import Tensor, nn

from hfvae_runner.latents.blocks import Noise, NormalBlock, Sample
from hfvae_runner.latents.latents import FactorialPrior


class LearnedScale(FactorialPrior):
    """N(0, s²) for every factor, with one learned s; its draws carry gradients, or do not."""

    def __init__(self, block: NormalBlock, scale: float, *, reparameterised: bool = True) -> None:
        super().__init__(block)
        self.reparameterised = reparameterised
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale), dtype=torch.float64))

    def factors(self, sample: Tensor) -> Tensor:
        return torch.distributions.Normal(0.0, self.log_scale.exp()).log_prob(sample)

    def noise(self, draws: int, generator: torch.Generator, dtype: torch.dtype) -> Noise:
        return [self.block.noise(draws, generator, dtype)]

    def sample(self, noise: Noise, *, hard: bool = False) -> Sample:
        (epsilon,) = noise
        return [epsilon * self.log_scale.exp()]
