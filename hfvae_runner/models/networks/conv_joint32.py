"""JointVAE App. B, networks for 32×32: the table's networks without the last encoder and first decoder convolution.

Encoder: 4×4 convolutions of stride 2 with 32, 32, 64 channels, FC 256, linear heads, with ReLU. The decoder mirrors it.
The authors' code (Schlumberger/joint-vae), and therefore their released MNIST model, has 32, 64, 64 channels in the
encoder and the paper's 64, 32, 32 in the decoder. The decoder returns logits where the paper's ends with a sigmoid.
"""

from collections.abc import Sequence

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import down, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected


def conv_joint32(
    *, channels: Sequence[int], input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood
) -> Networks:
    """Build the encoder and decoder for images of 32×32.

    Args:
        channels: channels of the encoder's three convolutions. The decoder always has 64, 32, 32.
        input_shape: (C, 32, 32).
        latents: the latents whose posterior parameters the encoder returns.
        likelihood: the likelihood whose parameters the decoder returns.

    Raises:
        ConfigError: ``channels`` are not three whole numbers from 1 on, or the data are not images of 32×32.
    """
    first, second, third = _three(channels)
    if len(input_shape) != 3:
        raise ConfigError("model=conv_joint32 takes images, the data set gives vectors; expected model=mlp_pinwheel")
    if input_shape[1:] != (32, 32):
        size = "×".join(map(str, input_shape[1:]))
        raise ConfigError(
            f"model=conv_joint32 takes images of 32×32, the data set gives {size}; expected image_size=32"
        )
    colours = input_shape[0]
    encoder = nn.Sequential(
        *down((colours, first, second, third)),
        nn.Flatten(),
        *fully_connected((third * 4 * 4, 256), nn.ReLU),
        LinearHeads(256, latents),
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 256, 64 * 4 * 4), nn.ReLU),
        nn.Unflatten(1, (64, 4, 4)),
        *up((64, 32, 32)),
        *to_pixels(32, colours, likelihood),
    )
    return Networks(encoder, decoder)


def _three(channels: object) -> tuple[int, int, int]:
    """Return the option ``model.channels`` as three numbers.

    Raises:
        ConfigError: the option is not a list of three whole numbers from 1 on.
    """
    given = channels if isinstance(channels, list | tuple) else ()
    if len(given) != 3 or not all(isinstance(each, int) and not isinstance(each, bool) and each > 0 for each in given):
        raise ConfigError(
            f"model.channels={channels!r}: expected three whole numbers from 1 on, as [32, 32, 64] or [32, 64, 64]"
        )
    first, second, third = given
    return first, second, third
