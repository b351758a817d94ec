"""HFVAE Table 5: the multilayer perceptron for dSprites, 64×64 binary pixels (or any other data of a fixed size).

Encoder: FC 1200 ReLU twice, followed by the discrete logits, and by FC 400 ReLU each for mean and log σ.
Decoder: FC 400 tanh, FC 1200 tanh twice, FC pixels.
"""

import math

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import BranchedHeads, Networks, fully_connected, to_values


def mlp_dsprites(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder.

    For 64×64 inputs, Normal 10 and Concrete 3 they have 7,330,023 + 6,847,296 parameters.
    """
    encoder = nn.Sequential(
        nn.Flatten(),
        *fully_connected((math.prod(input_shape), 1200, 1200), nn.ReLU),
        BranchedHeads(1200, 400, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 400, 1200, 1200), nn.Tanh),
        *to_values(1200, input_shape, likelihood),
    )
    return Networks(encoder, decoder)
