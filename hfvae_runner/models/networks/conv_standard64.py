"""The standard network for images of 64×64 (Higgins et al. 2017; Locatello et al. 2019, 12,800 models).

Encoder: convolutions with 32, 32 (4×4), 64, 64 channels, stride 2 and ReLU, FC 256 ReLU, linear heads.
Decoder: FC 256 ReLU, FC 1024 ReLU, transposed convolutions 4×4 with 64, 32, 32 channels and ReLU, one to the pixels.
"""

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._images import channels_of
from hfvae_runner.models.networks._networks import Networks
from hfvae_runner.models.networks._standard import standard


def conv_standard64(
    *, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood, kernel: int = 2
) -> Networks:
    """Build the encoder and decoder for images of 64×64.

    Args:
        input_shape: (C, 64, 64).
        latents: the latents whose posterior parameters the encoder returns.
        likelihood: the likelihood whose parameters the decoder returns.
        kernel: side of the encoder's last two convolutions: 2, as in the code of the published results, or 4, as in the
            papers' tables.

    Raises:
        ConfigError: the data are not images of 64×64, or the kernel is not 2 or 4.
    """
    channels = channels_of("conv_standard64", (64,), input_shape, likelihood)
    return standard(channels, 64, kernel=kernel, model="conv_standard64", latents=latents, likelihood=likelihood)
