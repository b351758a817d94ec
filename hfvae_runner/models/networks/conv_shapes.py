"""α-β paper, Table 1a: the convolutions for 2D shapes (dSprites), images of 64×64.

Encoder: convolutions with 32, 32, 64, 64 channels and ReLU, FC 128 without an activation, linear heads.
Decoder: FC 128 ReLU, FC 1024 ReLU, transposed convolutions with 64, 64, 32 channels and ReLU, and one to the pixels.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._images import channels_of, down, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected


def conv_shapes(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for images of 64×64.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("conv_shapes", (64,), input_shape, likelihood)
    encoder = nn.Sequential(
        *down((channels, 32, 32, 64, 64)),
        nn.Flatten(),
        # No activation between these two layers, as in the table and the authors' code.
        Linear(64 * 4 * 4, 128),
        LinearHeads(128, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 128, 4 * 4 * 64), nn.ReLU),
        nn.Unflatten(1, (64, 4, 4)),
        *up((64, 64, 64, 32)),
        *to_pixels(32, channels, likelihood),
    )
    return Networks(encoder, decoder)
