"""α-β paper, Table 1b: the multilayer perceptron for pinwheel data.

Encoder and decoder each have one hidden layer of 100 ReLU units.
"""

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected, to_values


def mlp_pinwheel(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for vectors.

    Raises:
        ConfigError: the data are not vectors.
    """
    if len(input_shape) != 1:
        size = "×".join(map(str, input_shape))
        raise ConfigError(
            f"model=mlp_pinwheel takes vectors, the data set gives {size} images; expected model=mlp_mnist"
        )
    encoder = nn.Sequential(*fully_connected((*input_shape, 100), nn.ReLU), LinearHeads(100, latents))
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 100), nn.ReLU),
        *to_values(100, input_shape, likelihood),
    )
    return Networks(encoder, decoder)
