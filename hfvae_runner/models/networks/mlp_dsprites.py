"""HFVAE Table 5: the multilayer perceptron for dSprites, 64×64 binary pixels (or any other data of a fixed size).

Encoder: FC 1200 ReLU twice; from there the discrete logits, and 400 ReLU each for mean and log σ.
Decoder: FC 400 tanh, FC 1200 tanh twice, FC pixels.
"""

import math

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._networks import BranchedHeads, Networks


def mlp_dsprites(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """The pair of networks; with 64×64 inputs, Normal 10 and Concrete 3 it has 7,330,023 + 6,847,296 parameters."""
    values = math.prod(input_shape)
    encoder = nn.Sequential(
        nn.Flatten(),
        Linear(values, 1200),
        nn.ReLU(),
        Linear(1200, 1200),
        nn.ReLU(),
        BranchedHeads(1200, 400, latents),
    )
    decoder = nn.Sequential(
        Linear(latents.n_code, 400),
        nn.Tanh(),
        Linear(400, 1200),
        nn.Tanh(),
        Linear(1200, 1200),
        nn.Tanh(),
        Linear(1200, values * likelihood.parameters_per_value),
        nn.Unflatten(1, (likelihood.parameters_per_value, *input_shape)),
    )
    return Networks(encoder, decoder)
