"""JointVAE App. B: the table's networks, for chairs and CelebA at 64×64.

Encoder: convolutions with 32, 32, 64, 64 channels, FC 256, linear heads, with ReLU. The decoder mirrors it.
The decoder returns logits where the paper's ends with a sigmoid.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected


def conv_joint64(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for images of 64×64.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("conv_joint64", (64,), input_shape, likelihood)
    encoder = nn.Sequential(
        *down((channels, 32, 32, 64, 64)),
        nn.Flatten(),
        *fully_connected((64 * 4 * 4, 256), nn.ReLU),
        LinearHeads(256, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 256, 64 * 4 * 4), nn.ReLU),
        nn.Unflatten(1, (64, 4, 4)),
        *up((64, 64, 32, 32)),
        *to_pixels(32, channels, likelihood),
    )
    return Networks(encoder, decoder)
