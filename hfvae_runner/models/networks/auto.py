"""Networks chosen by the data's shape: a multilayer perceptron for vectors, standard convolutions for images."""

from collections.abc import Sequence

from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks._networks import LinearHeads, Networks, fully_connected, to_values
from hfvae_runner.models.networks._standard import standard

_SIDES = (16, 256)
_MOST_CHANNELS = 4


def auto(
    *,
    input_shape: tuple[int, ...],
    latents: Latents,
    likelihood: Likelihood,
    hidden: Sequence[int] = (400, 200),
    kernel: int = 2,
) -> Networks:
    """Build the encoder and decoder; for images of 64×64 they equal those of ``conv_standard64``.

    Args:
        input_shape: (D,) for vectors, or (C, S, S) for images with S from 16 to 256 and C from 1 to 4.
        latents: the latents whose posterior parameters the encoder returns.
        likelihood: the likelihood whose parameters the decoder returns.
        hidden: units of the layers for vectors, from the data to the latents; the decoder uses the reverse order.
        kernel: side of the last two convolutions of the encoder for images, 2 or 4.

    Raises:
        ConfigError: the data are bags of words or images of another shape, or an option is out of range.
    """
    if likelihood.support == "counts":
        raise ConfigError("model=auto does not take bags of words; expected model=prodlda or model=nvdm")
    if len(input_shape) == 1:
        return _perceptron(input_shape[0], hidden, latents, likelihood)
    channels, height, width = input_shape
    if height != width or not _SIDES[0] <= height <= _SIDES[1] or channels > _MOST_CHANNELS:
        raise ConfigError(
            f"model=auto takes square images of {_SIDES[0]} to {_SIDES[1]} pixels with at most {_MOST_CHANNELS} "
            f"channels, the data set gives {height}×{width} with {channels}; expected another image_size or model"
        )
    return standard(channels, height, kernel=kernel, model="auto", latents=latents, likelihood=likelihood)


def _perceptron(values: int, hidden: Sequence[int], latents: Latents, likelihood: Likelihood) -> Networks:
    given = hidden if isinstance(hidden, list | tuple) else ()
    if not given or not all(isinstance(each, int) and not isinstance(each, bool) and each > 0 for each in given):
        raise ConfigError(f"model=auto: model.hidden={hidden!r}: expected whole numbers from 1 on, as in [400,200]")
    encoder = nn.Sequential(*fully_connected([values, *hidden], nn.ReLU), LinearHeads(hidden[-1], latents))
    decoder = nn.Sequential(
        *fully_connected([latents.n_code, *reversed(hidden)], nn.ReLU),
        *to_values(hidden[0], (values,), likelihood),
    )
    return Networks(encoder, decoder)
