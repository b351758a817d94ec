"""JointVAE App. B, the 32×32 pair: the table's networks without the last encoder and the first decoder convolution.

Encoder: 4×4 convolutions of stride 2 with 32, 32, 64 channels, FC 256, linear heads; the decoder mirrors it. ReLU.
The authors' code (Schlumberger/joint-vae) has 32, 64, 64 channels at 32×32; the paper's sentence is followed here.
The decoder gives logits where the paper ends in a sigmoid.
"""

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents import Latents
from hfvae_runner.likelihoods import Likelihood
from hfvae_runner.networks._networks import LinearHeads, Networks
from hfvae_runner.runtime.linear import Linear


def conv_joint32(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """The pair of networks for images of 32×32.

    Raises:
        ConfigError: the data are not images of 32×32, or not scored by one number a pixel.
    """
    if len(input_shape) != 3:
        raise ConfigError("model=conv_joint32 takes images, the data set gives vectors; expected model=mlp_pinwheel")
    if input_shape[1:] != (32, 32):
        size = "×".join(map(str, input_shape[1:]))
        raise ConfigError(
            f"model=conv_joint32 takes images of 32×32, the data set gives {size}; expected image_size=32"
        )
    channels = input_shape[0]
    encoder = nn.Sequential(
        nn.Conv2d(channels, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        Linear(64 * 4 * 4, 256),
        nn.ReLU(),
        LinearHeads(256, latents),
    )
    decoder = nn.Sequential(
        Linear(latents.n_code, 256),
        nn.ReLU(),
        Linear(256, 64 * 4 * 4),
        nn.ReLU(),
        nn.Unflatten(1, (64, 4, 4)),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, channels * likelihood.parameters_per_value, 4, stride=2, padding=1),
        nn.Unflatten(1, (likelihood.parameters_per_value, channels)),
    )
    return Networks(encoder, decoder)
