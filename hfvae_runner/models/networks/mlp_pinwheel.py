"""α-β paper, Table 1b: the multilayer perceptron for pinwheel data, one hidden layer of 100 ReLU units each way."""

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._networks import LinearHeads, Networks


def mlp_pinwheel(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """The pair of networks for vectors.

    Raises:
        ConfigError: the data are not vectors.
    """
    if len(input_shape) != 1:
        size = "×".join(map(str, input_shape))
        raise ConfigError(
            f"model=mlp_pinwheel takes vectors, the data set gives {size} images; expected model=mlp_mnist"
        )
    (values,) = input_shape
    encoder = nn.Sequential(Linear(values, 100), nn.ReLU(), LinearHeads(100, latents))
    decoder = nn.Sequential(
        Linear(latents.n_code, 100),
        nn.ReLU(),
        Linear(100, values * likelihood.parameters_per_value),
        nn.Unflatten(1, (likelihood.parameters_per_value, values)),
    )
    return Networks(encoder, decoder)
