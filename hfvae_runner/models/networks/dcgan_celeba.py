"""α-β paper, Table 1c: DCGAN-like networks for CelebA, images of 64×64.

Encoder: convolutions with 32, 64, 128, 256 channels, each with BatchNorm and LeakyReLU 0.2, and a 4×4 convolution of
stride 1 each for mean and scale. Decoder: a transposed 4×4 convolution of stride 1 with 256 channels, then transposed
convolutions with 128, 64, 32 channels, each with BatchNorm and ReLU, and one to the pixels.
The initial weights are N(0, 0.02²), as in DCGAN, and the last layer has no bias. Both follow the authors' code for
Fashion-MNIST (iffsid/disentangling-disentanglement).
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, start_as_dcgan, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks


def dcgan_celeba(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for images of 64×64. Every training step updates batch normalisation's statistics.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("dcgan_celeba", 64, input_shape, likelihood)
    encoder = nn.Sequential(
        *down((channels, 32, 64, 128, 256), batch_norm=True, slope=0.2),
        nn.Flatten(),
        LinearHeads(256 * 4 * 4, latents),  # equal to 4×4 convolutions of 4×4 pixels
    )
    decoder = nn.Sequential(
        nn.Unflatten(1, (latents.n_code, 1, 1)),
        nn.ConvTranspose2d(latents.n_code, 256, 4, bias=False),
        nn.BatchNorm2d(256),
        nn.ReLU(),
        *up((256, 128, 64, 32), batch_norm=True),
        *to_pixels(32, channels, likelihood, bias=False),
    )
    for network in (encoder, decoder):
        network.apply(start_as_dcgan)
    return Networks(encoder, decoder)
