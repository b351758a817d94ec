"""ISA-VAE App. A.4: the multilayer perceptron of β-TCVAE and ISA-VAE for dSprites (or any other data of a fixed size).

Encoder: FC 1200 ReLU twice, FC posterior parameters. Decoder: FC 1200 tanh three times, FC pixels.
The listing's ``conv_z``, in ISA-VAE's appendix and in β-TCVAE's code, is never called and is omitted here.
"""

import math

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected, to_values


def mlp_1200(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder; for 64×64 inputs and Normal 10 they have 6,381,620 + 7,814,896 parameters."""
    encoder = nn.Sequential(
        nn.Flatten(),
        *fully_connected((math.prod(input_shape), 1200, 1200), nn.ReLU),
        LinearHeads(1200, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 1200, 1200, 1200), nn.Tanh),
        *to_values(1200, input_shape, likelihood),
    )
    return Networks(encoder, decoder)
