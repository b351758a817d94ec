import math
import re

import pytest
import torch
from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.models.likelihoods import BernoulliLikelihood, GaussianLikelihood, MultinomialLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.networks.conv_joint32 import conv_joint32
from hfvae_runner.models.networks.mlp_mnist import mlp_mnist
from hfvae_runner.models.networks.mlp_pinwheel import mlp_pinwheel

BERNOULLI, GAUSSIAN = BernoulliLikelihood(), GaussianLikelihood(scale="predicted")
TEN_TEN = normal_concrete(continuous=10, categories=10, temperature=0.66, n_classes=None)
TWO = normal(size=2)
PAPER = [32, 32, 64]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def check_shapes(networks: Networks, input_shape: tuple[int, ...], latents: Latents, per_value: int) -> None:
    x = torch.zeros(3, *input_shape)
    assert networks.encoder(x).shape == (3, sum(block.n_parameters for block in latents.blocks))
    code = torch.zeros(3, latents.n_code)
    assert networks.decoder(code).shape == (3, per_value, *input_shape)


def test_mlp_mnist_is_hfvaes_table_4() -> None:
    networks = mlp_mnist(input_shape=(1, 28, 28), latents=TEN_TEN, likelihood=BERNOULLI)
    assert (count(networks.encoder), count(networks.decoder)) == (482_430, 398_984)
    check_shapes(networks, (1, 28, 28), TEN_TEN, 1)


def test_mlp_mnist_takes_its_sizes_from_the_data_and_the_prior() -> None:
    check_shapes(mlp_mnist(input_shape=(3, 9, 7), latents=TWO, likelihood=GAUSSIAN), (3, 9, 7), TWO, 2)


def test_means_and_log_scales_have_branches_of_their_own() -> None:
    """The last biases of the branches, with everything else 0, come out where ``NormalBlock`` reads them."""
    networks = mlp_mnist(input_shape=(1, 4, 4), latents=TEN_TEN, likelihood=BERNOULLI)
    for parameter in networks.encoder.parameters():
        nn.init.zeros_(parameter)
    linear = [layer for layer in networks.encoder.modules() if isinstance(layer, nn.Linear)]
    _hidden, _mean_branch, mean, _scale_branch, log_scale, logits = linear
    assert [layer.out_features for layer in linear] == [400, 200, 10, 200, 10, 10]
    for value, layer in enumerate((mean, log_scale, logits), start=1):
        nn.init.constant_(layer.bias, value)
    raw = networks.encoder(torch.rand(1, 1, 4, 4))
    assert raw.tolist() == [[1] * 10 + [2] * 10 + [3] * 10]


def layers(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, kind)]


def test_conv_joint32_is_jointvaes_pair_for_32_pixels() -> None:
    networks = conv_joint32(channels=PAPER, input_shape=(1, 32, 32), latents=TEN_TEN, likelihood=BERNOULLI)
    check_shapes(networks, (1, 32, 32), TEN_TEN, 1)
    encoder, decoder = layers(networks.encoder, nn.Conv2d), layers(networks.decoder, nn.ConvTranspose2d)
    assert [layer.out_channels for layer in encoder] == [32, 32, 64]
    assert [layer.out_channels for layer in decoder] == [32, 32, 1]
    assert {(layer.kernel_size, layer.stride) for layer in encoder + decoder} == {((4, 4), (2, 2))}
    assert [layer.out_features for layer in layers(networks.encoder, nn.Linear)] == [256, 30]
    assert [layer.out_features for layer in layers(networks.decoder, nn.Linear)] == [256, 1024]


def test_conv_joint32_takes_colours() -> None:
    networks = conv_joint32(channels=PAPER, input_shape=(3, 32, 32), latents=TWO, likelihood=BERNOULLI)
    check_shapes(networks, (3, 32, 32), TWO, 1)


def test_conv_joint32_with_other_channels_is_the_released_model() -> None:
    """jointvae/models.py of Schlumberger/joint-vae at 32×32: weights in the order in which the data pass them."""
    networks = conv_joint32(channels=[32, 64, 64], input_shape=(1, 32, 32), latents=TEN_TEN, likelihood=BERNOULLI)
    check_shapes(networks, (1, 32, 32), TEN_TEN, 1)
    shapes = [
        [tuple(weight.shape) for weight in half.parameters() if weight.ndim > 1]
        for half in (networks.encoder, networks.decoder)
    ]
    # Their heads are three layers: 10 means, 10 log variances, 10 logits.
    assert shapes[0] == [(32, 1, 4, 4), (64, 32, 4, 4), (64, 64, 4, 4), (256, 1024), (30, 256)]
    assert shapes[1] == [(256, 20), (1024, 256), (64, 32, 4, 4), (32, 32, 4, 4), (32, 1, 4, 4)]


@pytest.mark.parametrize(
    "channels", [[32, 64], [32, 64, 64, 64], [32, 0, 64], [32, 64.0, 64], [32, True, 64], 32, None]
)
def test_conv_joint32_refuses_other_channels(channels: object) -> None:
    message = re.escape(f"model.channels={channels!r}: expected three whole numbers from 1 on, as [32, 32, 64] or")
    with pytest.raises(ConfigError, match=message):
        conv_joint32(channels=channels, input_shape=(1, 32, 32), latents=TWO, likelihood=BERNOULLI)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("input_shape", "expected"),
    [
        ((1, 28, 28), "takes images of 32×32, the data set gives 28×28; expected image_size=32"),
        ((1, 32, 28), "takes images of 32×32, the data set gives 32×28; expected image_size=32"),
        ((2,), "takes images, the data set gives vectors; expected model=mlp_pinwheel"),
    ],
)
def test_conv_joint32_refuses_other_data(input_shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        conv_joint32(channels=PAPER, input_shape=input_shape, latents=TEN_TEN, likelihood=BERNOULLI)


def test_mlp_pinwheel_is_the_alpha_beta_papers_table() -> None:
    networks = mlp_pinwheel(input_shape=(2,), latents=TWO, likelihood=GAUSSIAN)
    check_shapes(networks, (2,), TWO, 2)
    assert [layer.out_features for layer in layers(networks.encoder, nn.Linear)] == [100, 4]
    assert [layer.out_features for layer in layers(networks.decoder, nn.Linear)] == [100, 4]


def test_a_decoder_of_words_or_of_a_shared_scale_gives_one_number_a_value() -> None:
    for likelihood in (MultinomialLikelihood(), GaussianLikelihood(scale="learned")):
        check_shapes(mlp_pinwheel(input_shape=(30,), latents=TWO, likelihood=likelihood), (30,), TWO, 1)


def test_mlp_pinwheel_refuses_images() -> None:
    with pytest.raises(ConfigError, match="takes vectors, the data set gives 1×28×28 images; expected model=mlp_mnist"):
        mlp_pinwheel(input_shape=(1, 28, 28), latents=TWO, likelihood=BERNOULLI)


@pytest.mark.parametrize("shape", [(1, 28, 28), (5,)])
def test_the_decoders_outputs_stand_where_the_likelihood_reads_them(shape: tuple[int, ...]) -> None:
    """The Gaussian likelihood's mean and log standard deviation are the first and second of the P parameters."""
    networks = mlp_mnist(input_shape=shape, latents=TWO, likelihood=GAUSSIAN)
    last = layers(networks.decoder, nn.Linear)[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    values = math.prod(shape)
    nn.init.constant_(last.bias[values:], 0.5)
    raw = networks.decoder(torch.randn(2, TWO.n_code))
    one = -math.log(2 * math.pi) / 2 - 0.5
    assert GAUSSIAN.log_prob(torch.zeros(2, *shape), raw).tolist() == pytest.approx([values * one] * 2, rel=1e-5)
