"""HFVAE Table 6: the convolutions with batch normalisation for CelebA, images of 64×64.

Encoder: convolutions with 32, 32, 64, 64 channels, each with BatchNorm and ReLU, followed by the discrete logits, and
by FC 256 ReLU each for mean and log σ. Decoder: FC 256 ReLU, FC 1024 tanh, transposed convolutions with 64, 32, 32
channels, each with BatchNorm and ReLU, and one to the pixels.
The table has a ReLU after "FC. 2 × 20", the means and scales themselves. It would exclude negative means and, for
log σ, posteriors narrower than the prior. Tables 4 and 5 have no ReLU there, and it is omitted here.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, to_pixels, up
from hfvae_runner.models.networks._networks import BranchedHeads, Networks, fully_connected


def conv_celeba(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder for images of 64×64. Every training step updates batch normalisation's statistics.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("conv_celeba", (64,), input_shape, likelihood)
    encoder = nn.Sequential(
        *down((channels, 32, 32, 64, 64), batch_norm=True), nn.Flatten(), BranchedHeads(64 * 4 * 4, 256, latents)
    )
    decoder = nn.Sequential(
        *fully_connected((latents.n_code, 256), nn.ReLU),
        *fully_connected((256, 4 * 4 * 64), nn.Tanh),
        nn.Unflatten(1, (64, 4, 4)),
        *up((64, 64, 32, 32), batch_norm=True),
        *to_pixels(32, channels, likelihood),
    )
    return Networks(encoder, decoder)
