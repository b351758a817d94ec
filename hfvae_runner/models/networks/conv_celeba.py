"""HFVAE Table 6: the convolutions with batch normalisation for CelebA, images of 64×64.

Encoder: convolutions with 32, 32, 64, 64 channels, each with BatchNorm and ReLU; from there the discrete logits, and
256 ReLU each for mean and log σ. Decoder: FC 256 ReLU, FC 1024 tanh, transposed convolutions with 64, 32, 32 channels,
each with BatchNorm and ReLU, and one to the pixels.
The table prints a ReLU behind "FC. 2 × 20", the means and scales themselves. It would forbid negative means and, for
log σ, any posterior narrower than the prior; Tables 4 and 5 have none there, and neither has this.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of, down, to_pixels, up
from hfvae_runner.models.networks._networks import BranchedHeads, Networks, fully_connected


def conv_celeba(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Return the pair of networks for images of 64×64. Batch normalisation keeps running means, which a step updates.

    Raises:
        ConfigError: the data are not images of 64×64.
    """
    channels = channels_of("conv_celeba", 64, input_shape, likelihood)
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
