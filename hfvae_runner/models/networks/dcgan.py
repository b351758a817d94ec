"""α-β paper, Table 1c: DCGAN-like networks for CelebA, images of 64×64; and its authors' code's, for 32×32.

Encoder: convolutions with 32, 64, 128, 256 channels, each with BatchNorm and LeakyReLU 0.2, and a 4×4 convolution of
stride 1 each for mean and scale. Decoder: a transposed 4×4 convolution of stride 1 with 256 channels, then transposed
convolutions with 128, 64, 32 channels, each with BatchNorm and ReLU, and one to the pixels.

The authors' code (iffsid/disentangling-disentanglement) has networks for Fashion-MNIST at 32×32: one layer fewer each
way, of 32, 64 and 128 channels, and no BatchNorm after the first convolution. The initial weights N(0, 0.02²), as in
DCGAN, and the last layer without a bias are the code's. It has softplus for the scale, and no bias in the first
convolution; here the network outputs log σ, and that convolution has one.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, start_as_dcgan, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks

_SLOPE = 0.2
_WIDTHS = {32: (32, 64, 128), 64: (32, 64, 128, 256)}


def dcgan(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder. Every training step updates batch normalisation's statistics.

    Raises:
        ConfigError: the data are not images of 32×32 or 64×64.
    """
    channels = channels_of("dcgan", _WIDTHS, input_shape, likelihood)
    side = input_shape[-1]
    widths = _WIDTHS[side]
    encoder = nn.Sequential(
        *down((channels, widths[0]), batch_norm=side == 64, slope=_SLOPE),
        *down(widths, batch_norm=True, slope=_SLOPE),
        nn.Flatten(),
        LinearHeads(widths[-1] * 4 * 4, latents),  # equal to 4×4 convolutions of 4×4 pixels
    )
    decoder = nn.Sequential(
        nn.Unflatten(1, (latents.n_code, 1, 1)),
        nn.ConvTranspose2d(latents.n_code, widths[-1], 4, bias=False),
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(),
        *up(widths[::-1], batch_norm=True),
        *to_pixels(widths[0], channels, likelihood, bias=False),
    )
    for network in (encoder, decoder):
        network.apply(start_as_dcgan)
    return Networks(encoder, decoder)
