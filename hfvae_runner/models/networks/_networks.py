"""Shared parts of the model factories: their return type, fully connected layers, and heads.

Heads map hidden units to posterior parameters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear


@dataclass(frozen=True)
class Networks:
    """Encoder and decoder, the result of a model factory.

    Attributes:
        encoder: x [B, *] -> all posterior parameters, concatenated, [B, Σ P_g].
        decoder: code [B, Σ C_g] -> the likelihood's parameters, [B, P, *].
    """

    encoder: nn.Module
    decoder: nn.Module


def fully_connected(sizes: Sequence[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers from each size to the next, each followed by the activation; the first is the input's."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [Linear(inputs, outputs), activation()]
    return layers


def to_values(inputs: int, input_shape: tuple[int, ...], likelihood: Likelihood) -> list[nn.Module]:
    """Return the decoder's last linear layer, to the likelihood's parameters of x: [B, inputs] -> [B, P, *]."""
    per_value = likelihood.parameters_per_value
    return [Linear(inputs, math.prod(input_shape) * per_value), nn.Unflatten(1, (per_value, *input_shape))]


class LinearHeads(nn.Module):
    """One linear layer from hidden units to all posterior parameters, [B, H] -> [B, Σ P_g]."""

    def __init__(self, hidden: int, latents: Latents) -> None:
        super().__init__()
        self.linear = Linear(hidden, latents.n_parameters)

    def forward(self, hidden: Tensor) -> Tensor:
        raw: Tensor = self.linear(hidden)
        return raw


class BranchedHeads(nn.Module):
    """Heads of HFVAE Table 4, [B, H] -> [B, Σ P_g].

    The mean and log σ of a normal block each have a branch with a hidden layer. Logits are linear in the hidden units.
    """

    def __init__(self, hidden: int, branch: int, latents: Latents) -> None:
        super().__init__()
        self.heads = nn.ModuleList()
        for block in latents.blocks:
            if isinstance(block, NormalBlock) and block.inferred:
                for _mean_then_log_scale in range(2):
                    self.heads.append(_branch(hidden, branch, block.size))
            elif block.n_parameters:
                self.heads.append(Linear(hidden, block.n_parameters))

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.cat([head(hidden) for head in self.heads], dim=1)


def _branch(hidden: int, branch: int, out: int) -> nn.Sequential:
    return nn.Sequential(Linear(hidden, branch), nn.ReLU(), Linear(branch, out))
