"""β-TCVAE's convolutions with batch normalisation for 3D faces, images of 64×64, from its authors' code.

Encoder: convolutions with 32, 32, 64, 64 channels and a 4×4 convolution of stride 1 with 512 channels, each with
BatchNorm and ReLU, and a 1×1 convolution to the posterior parameters. The decoder mirrors the encoder.
The paper has no table of this network. Source: rtqichen/beta-tcvae (``vae_quant.py``, ``--conv``).
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks


def conv_faces(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for images of 64×64. Every training step updates batch normalisation's statistics.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("conv_faces", (64,), input_shape, likelihood)
    encoder = nn.Sequential(
        *down((channels, 32, 32, 64, 64), batch_norm=True),
        nn.Conv2d(64, 512, 4, bias=False),
        nn.BatchNorm2d(512),
        nn.ReLU(),
        nn.Flatten(),
        LinearHeads(512, latents),  # equal to a 1×1 convolution of a single pixel
    )
    decoder = nn.Sequential(
        nn.Unflatten(1, (latents.n_code, 1, 1)),
        nn.ConvTranspose2d(latents.n_code, 512, 1, bias=False),
        nn.BatchNorm2d(512),
        nn.ReLU(),
        nn.ConvTranspose2d(512, 64, 4, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        *up((64, 64, 32, 32), batch_norm=True),
        *to_pixels(32, channels, likelihood),
    )
    return Networks(encoder, decoder)
