"""HFVAE Table 4: the multilayer perceptron for MNIST and F-MNIST, 28×28 grey pixels (or any small image).

Encoder: FC 400 ReLU, followed by the discrete logits, and by FC 200 ReLU each for mean and log σ.
Decoder: FC 200 ReLU, FC 400 ReLU, FC pixels.
"""

import math

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import BranchedHeads, Networks, fully_connected, to_values


def mlp_mnist(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder.

    For 28×28 inputs, Normal 10 and Concrete 10 they have 482,430 + 398,984 parameters.
    """
    encoder = nn.Sequential(
        nn.Flatten(),
        *fully_connected((math.prod(input_shape), 400), nn.ReLU),
        BranchedHeads(400, 200, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 200, 400), nn.ReLU),
        *to_values(400, input_shape, likelihood),
    )
    return Networks(encoder, decoder)
