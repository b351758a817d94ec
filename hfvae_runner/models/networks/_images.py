"""Shared parts of the networks for images: a check of the data's shape, and convolutions that halve or double the side.

Every convolution of the papers' tables is 4×4 with stride 2 unless stated otherwise. Where a table does not state the
padding, it is one pixel, which gives the sides of the table. A layer before a batch normalisation has no bias, because
the normalisation would remove it.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.models.likelihoods import Likelihood


def channels_of(model: str, sides: Collection[int], input_shape: tuple[int, ...], likelihood: Likelihood) -> int:
    """Return the number of channels of square images: 1 for grey images, 3 for colour images.

    Args:
        model: name of the model, for the message.
        sides: of the images that the model takes, in pixels.
        input_shape: shape of one example.
        likelihood: the likelihood; its support distinguishes bags of words from vectors in the message.

    Raises:
        ConfigError: the data are not square images of such a side.
    """
    if len(input_shape) != 3:
        words = likelihood.support == "counts"
        given = "bags of words" if words else "vectors"
        fitting = "model=prodlda or model=nvdm" if words else "model=mlp_pinwheel"
        raise ConfigError(f"model={model} takes images, the data set gives {given}; expected {fitting}")
    channels, height, width = input_shape
    if height != width or width not in sides:
        raise ConfigError(
            f"model={model} takes images of {_listed([f'{side}×{side}' for side in sides])}, "
            f"the data set gives {height}×{width}; expected image_size={_listed([str(side) for side in sides])}"
        )
    return channels


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def down(channels: Sequence[int], *, batch_norm: bool = False, slope: float = 0.0) -> list[nn.Module]:
    """Return convolutions from each number of channels to the next, each of which halves the side.

    Args:
        channels: numbers of channels, beginning with the input's.
        batch_norm: whether to normalise between convolution and activation.
        slope: slope of the activation below 0; 0 gives a ReLU.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.LeakyReLU(slope) if slope else nn.ReLU())
    return layers


def up(channels: Sequence[int], *, batch_norm: bool = False) -> list[nn.Module]:
    """Return transposed convolutions from each number of channels to the next, each followed by a ReLU.

    Each of them doubles the side.

    Args:
        channels: numbers of channels, beginning with the input's.
        batch_norm: whether to normalise between convolution and activation.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return layers


def to_pixels(inputs: int, channels: int, likelihood: Likelihood, *, bias: bool = True) -> list[nn.Module]:
    """Return the last layers, from hidden channels to the likelihood's parameters of all pixels.

    [B, inputs, H, W] -> [B, P, channels, 2H, 2W]. There is no activation: the likelihood takes logits where the papers'
    decoders end with a sigmoid.
    """
    per_value = likelihood.parameters_per_value
    return [
        nn.ConvTranspose2d(inputs, channels * per_value, 4, stride=2, padding=1, bias=bias),
        nn.Unflatten(1, (per_value, channels)),
    ]


def start_as_dcgan(layer: nn.Module) -> None:
    """Set a layer's initial weights to N(0, 0.02²) and its bias to 0 (DCGAN, Radford et al. 2016, Sec. 3)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
