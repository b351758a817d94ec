"""InfoGAN App. C.1: convolutional networks for images of 28×28, and for 32×32 and 64×64 by the same rule.

Encoder for 28×28: 4×4 convolutions with 64 and 128 channels, FC 1024, FC 128, each with LeakyReLU 0.1 and, after the
first layer, BatchNorm; linear heads. Decoder: FC 1024, FC 7·7·128, a transposed 4×4 convolution with 64 channels, each
with BatchNorm and ReLU, and one to the pixels. For 64×64 there is one more convolution each way, with 256 channels.
The order of normalisation and activation and the initial weights N(0, 0.02²) follow the authors' code (openai/InfoGAN).
The paper's discriminator and encoder share all layers but the last two; here each is a network of this kind.
"""

from torch import nn

from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.linear import Linear
from hfvae_runner.models.networks._images import channels_of, down, start_as_dcgan, to_pixels, up
from hfvae_runner.models.networks._networks import LinearHeads, Networks

_WIDTHS = {28: (64, 128), 32: (64, 128), 64: (64, 128, 256)}
_SLOPE = 0.1


def conv_infogan(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """Build the encoder and decoder. Every training step updates batch normalisation's statistics.

    Raises:
        ConfigError: the data are not images of 28×28, 32×32 or 64×64.
    """
    channels = channels_of("conv_infogan", _WIDTHS, input_shape, likelihood)
    side = input_shape[-1]
    widths = _WIDTHS[side]
    last = side // 2 ** len(widths)
    features = widths[-1] * last * last
    encoder = nn.Sequential(
        *down((channels, widths[0]), slope=_SLOPE),
        *down(widths, batch_norm=True, slope=_SLOPE),
        nn.Flatten(),
        *_connected(features, 1024, nn.LeakyReLU(_SLOPE)),
        *_connected(1024, 128, nn.LeakyReLU(_SLOPE)),
        LinearHeads(128, latents),
    )
    decoder = nn.Sequential(
        *_connected(latents.n_code, 1024, nn.ReLU()),
        *_connected(1024, features, nn.ReLU()),
        nn.Unflatten(1, (widths[-1], last, last)),
        *up(widths[::-1], batch_norm=True),
        *to_pixels(widths[0], channels, likelihood),
    )
    for network in (encoder, decoder):
        network.apply(start_as_dcgan)
    return Networks(encoder, decoder)


def _connected(inputs: int, outputs: int, activation: nn.Module) -> list[nn.Module]:
    # Batch normalisation would remove a bias.
    return [Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), activation]
