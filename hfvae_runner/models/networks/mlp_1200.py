"""ISA-VAE App. A.4: the multilayer perceptron of β-TCVAE and ISA-VAE for dSprites (or any other data of a fixed size).

Encoder: FC 1200 ReLU twice, FC posterior parameters. Decoder: FC 1200 tanh three times, FC pixels.
The listing's ``conv_z``, in ISA-VAE's appendix as in β-TCVAE's code, is never called, and is left out.
"""

import math

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._networks import LinearHeads, Networks


def mlp_1200(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """The pair of networks; with 64×64 inputs and Normal 10 it has 6,381,620 + 7,814,896 parameters."""
    values = math.prod(input_shape)
    encoder = nn.Sequential(
        nn.Flatten(),
        Linear(values, 1200),
        nn.ReLU(),
        Linear(1200, 1200),
        nn.ReLU(),
        LinearHeads(1200, latents),
    )
    decoder = nn.Sequential(
        Linear(latents.n_code, 1200),
        nn.Tanh(),
        Linear(1200, 1200),
        nn.Tanh(),
        Linear(1200, 1200),
        nn.Tanh(),
        Linear(1200, values * likelihood.parameters_per_value),
        nn.Unflatten(1, (likelihood.parameters_per_value, *input_shape)),
    )
    return Networks(encoder, decoder)
