"""Two autoencoders that differ by a map z ↦ stretch·Rz of the latent space only (α-β paper, Theorem 2, Corollary 1).

Shapes: B batch; D factors; X values of an example. Everything is float64.
"""

import math

import torch
from torch import Tensor, nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.vae import VAE

VALUES = 4


class Encoder(nn.Module):
    """Means stretch·Rμ(x) and covariance (stretch·s(x))²·I, which R leaves alone: [B, X] -> [B, 2·D].

    s(x) is about e⁻², so that the divergence depends on where the means are.
    """

    def __init__(self, rotation: Tensor, stretch: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(VALUES, 8), nn.Tanh())
        self.mean = nn.Linear(8, len(rotation))
        self.log_scale = nn.Linear(8, 1)
        self.rotation = rotation
        self.stretch = stretch

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.hidden(x)
        mean = self.stretch * self.mean(hidden) @ self.rotation.T
        log_scale = self.log_scale(hidden) - 2 + math.log(self.stretch)
        return torch.cat([mean, log_scale.expand_as(mean)], dim=1)


class Decoder(nn.Module):
    """p(x | Rᵀz/stretch), a mean and a log scale for each value: [B, D] -> [B, 2, X]."""

    def __init__(self, rotation: Tensor, stretch: float) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(len(rotation), 8), nn.Tanh(), nn.Linear(8, 2 * VALUES))
        self.rotation = rotation
        self.stretch = stretch

    def forward(self, code: Tensor) -> Tensor:
        raw: Tensor = self.network(code @ self.rotation / self.stretch)
        return raw.unflatten(1, (2, VALUES))


def mapped_vae(latents: Latents, rotation: Tensor | None = None, stretch: float = 1.0) -> VAE:
    """The same parameters whatever the map; no rotation is the identity."""
    turn = torch.eye(latents.n_code, dtype=torch.float64) if rotation is None else rotation
    torch.manual_seed(0)
    networks = Networks(Encoder(turn, stretch), Decoder(turn, stretch))
    return VAE(networks, latents, GaussianLikelihood(scale="predicted")).double()


def some_x(examples: int) -> Tensor:
    return 3 * torch.randn(examples, VALUES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
