"""What the networks for images share: the check of the data's shape, and convolutions that halve or double the side.

Every convolution of the papers' tables is 4×4 with stride 2 unless it says otherwise. Where a table is silent about the
padding, it is the one pixel that makes the sides come out. No layer in front of a batch normalisation has a bias, which
the normalisation would take away again.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import Likelihood


def channels_of(model: str, side: int, input_shape: tuple[int, ...], likelihood: Likelihood) -> int:
    """Return the channels of images of side × side: 1 grey, 3 in colour.

    Raises:
        ConfigError: the data are not such images.
    """
    if len(input_shape) != 3:
        words = likelihood.support == "counts"
        given = "bags of words" if words else "vectors"
        fitting = "model=prodlda or model=nvdm" if words else "model=mlp_pinwheel"
        raise ConfigError(f"model={model} takes images, the data set gives {given}; expected {fitting}")
    channels, *sides = input_shape
    if sides != [side, side]:
        raise ConfigError(
            f"model={model} takes images of {side}×{side}, the data set gives {'×'.join(map(str, sides))}; "
            f"expected image_size={side}"
        )
    return channels


def down(channels: Sequence[int], *, batch_norm: bool = False, slope: float = 0.0) -> list[nn.Module]:
    """Convolutions from each number of channels to the next, each halving the side.

    Args:
        channels: the input's first.
        batch_norm: normalise between convolution and activation.
        slope: of the activation below 0; with 0 it is a ReLU.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.LeakyReLU(slope) if slope else nn.ReLU())
    return layers


def up(channels: Sequence[int], *, batch_norm: bool = False) -> list[nn.Module]:
    """Transposed convolutions from each number of channels to the next, each doubling the side and followed by a ReLU.

    Args:
        channels: the input's first.
        batch_norm: normalise between convolution and activation.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return layers


def to_pixels(inputs: int, channels: int, likelihood: Likelihood, *, bias: bool = True) -> list[nn.Module]:
    """Return the last doubling, to the likelihood's parameters of every pixel: [B, inputs, H, W] -> [B, P, channels,
    2H, 2W].

    Nothing follows, since the likelihood takes logits where the papers end in a sigmoid.
    """
    per_value = likelihood.parameters_per_value
    return [
        nn.ConvTranspose2d(inputs, channels * per_value, 4, stride=2, padding=1, bias=bias),
        nn.Unflatten(1, (per_value, channels)),
    ]
