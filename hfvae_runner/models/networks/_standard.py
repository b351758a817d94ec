"""The convolutions of Higgins et al. (2017) and Locatello et al. (2019), for images of 64×64 and of other sides.

Encoder for 64×64: convolutions with 32, 32, 64, 64 channels, stride 2 and ReLU, FC 256 ReLU, linear heads.
Decoder for 64×64: FC 256 ReLU, FC 1024 ReLU, transposed convolutions with 64, 32, 32 channels, stride 2 and ReLU, and
one to the pixels. For other sides, the number of convolutions is the smallest that reduces the side to four pixels or
fewer. The last two have 64 channels.
"""

from itertools import pairwise

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected

_HIDDEN = 256
_SMALLEST = 4


def standard(
    channels: int, side: int, *, kernel: int, model: str, latents: Latents, likelihood: Likelihood
) -> Networks:
    """Build the encoder and decoder for images [C, S, S].

    Args:
        channels: C.
        side: S, in pixels.
        kernel: side of the encoder's last two convolutions, 2 or 4.
        model: name of the model, for the message.
        latents: the latents whose posterior parameters the encoder returns.
        likelihood: the likelihood whose parameters the decoder returns.

    Raises:
        ConfigError: the kernel is not 2 or 4.
    """
    if kernel not in (2, 4):
        raise ConfigError(f"model={model}: model.kernel={kernel}: expected 2 or 4")
    sides = [side]
    while sides[-1] > _SMALLEST:
        sides.append(sides[-1] // 2)
    widths = [32] * (len(sides) - 3) + [64, 64]
    last = sides[-1]
    encoder = nn.Sequential(
        *_down(channels, widths, kernel),
        nn.Flatten(),
        *fully_connected([64 * last * last, _HIDDEN], nn.ReLU),
        LinearHeads(_HIDDEN, latents),
    )
    per_value = likelihood.parameters_per_value
    decoder = nn.Sequential(
        *fully_connected([latents.n_code, _HIDDEN, 64 * last * last], nn.ReLU),
        nn.Unflatten(1, (64, last, last)),
        *_up([64, *widths[::-1][1:], channels * per_value], sides[::-1]),
        nn.Unflatten(1, (per_value, channels)),
    )
    return Networks(encoder, decoder)


def _down(channels: int, widths: list[int], kernel: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise([channels, *widths])):
        size = kernel if number >= len(widths) - 2 else 4
        layers += [nn.Conv2d(inputs, outputs, size, stride=2, padding=(size - 2) // 2), nn.ReLU()]
    return layers


def _up(widths: list[int], sides: list[int]) -> list[nn.Module]:
    """Return transposed convolutions through these sides; the last one returns parameters and has no activation."""
    layers: list[nn.Module] = []
    for (inputs, outputs), (before, after) in zip(pairwise(widths), pairwise(sides), strict=True):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, output_padding=after - 2 * before))
        layers.append(nn.ReLU())
    return layers[:-1]
