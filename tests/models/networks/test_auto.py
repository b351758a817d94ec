"""model=auto and the field's standard network for 64×64: layers, sizes, and what does not fit."""

import pytest
import torch
from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.likelihoods.bernoulli import BernoulliLikelihood
from hfvae_runner.models.likelihoods.gaussian import GaussianLikelihood
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.networks.auto import auto
from hfvae_runner.models.networks.conv_standard64 import conv_standard64

TEN = normal(size=10)
BERNOULLI = BernoulliLikelihood()
GAUSSIAN = GaussianLikelihood(scale="predicted")


def convolutions(module: nn.Module) -> list[tuple[int, int, tuple[int, ...]]]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [
        (each.in_channels, each.out_channels, tuple(map(int, each.kernel_size)))
        for each in module.modules()
        if isinstance(each, kinds)
    ]


def shapes(networks: Networks, input_shape: tuple[int, ...], latents: Latents = TEN) -> tuple[torch.Size, torch.Size]:
    with torch.no_grad():
        return networks.encoder(torch.rand(2, *input_shape)).shape, networks.decoder(
            torch.rand(2, latents.n_code)
        ).shape


@pytest.mark.parametrize("kernel", [2, 4])
def test_the_standard_network_is_the_published_one(kernel: int) -> None:
    networks = conv_standard64(input_shape=(3, 64, 64), latents=TEN, likelihood=BERNOULLI, kernel=kernel)
    assert convolutions(networks.encoder) == [
        (3, 32, (4, 4)),
        (32, 32, (4, 4)),
        (32, 64, (kernel, kernel)),
        (64, 64, (kernel, kernel)),
    ]
    assert convolutions(networks.decoder) == [(64, 64, (4, 4)), (64, 32, (4, 4)), (32, 32, (4, 4)), (32, 3, (4, 4))]
    # Weights and biases: convolutions, 1,024 to 256 units, 256 to the parameters; and the reverse.
    convolved = (16 * 3 * 32 + 32) + (16 * 32 * 32 + 32) + (kernel**2 * 32 * 64 + 64) + (kernel**2 * 64 * 64 + 64)
    encoder = convolved + (1024 * 256 + 256) + (256 * 20 + 20)
    transposed = (16 * 64 * 64 + 64) + (16 * 64 * 32 + 32) + (16 * 32 * 32 + 32) + (16 * 32 * 3 + 3)
    decoder = (10 * 256 + 256) + (256 * 1024 + 1024) + transposed
    assert sum(each.numel() for each in networks.encoder.parameters()) == encoder
    assert sum(each.numel() for each in networks.decoder.parameters()) == decoder
    assert shapes(networks, (3, 64, 64)) == ((2, 20), (2, 1, 3, 64, 64))


def test_auto_at_64_is_the_standard_network() -> None:
    found = []
    for factory in (auto, conv_standard64):
        torch.manual_seed(0)
        networks = factory(input_shape=(1, 64, 64), latents=TEN, likelihood=BERNOULLI)
        found.append([*networks.encoder.parameters(), *networks.decoder.parameters()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [16, 17, 28, 31, 32, 63, 64, 100, 128, 255, 256])
def test_images_of_any_side(side: int, channels: int) -> None:
    latents = normal_concrete(continuous=3, categories=4, temperature=0.66, n_classes=None)
    networks = auto(input_shape=(channels, side, side), latents=latents, likelihood=GAUSSIAN)
    per_value = GAUSSIAN.parameters_per_value
    assert shapes(networks, (channels, side, side), latents) == ((2, 10), (2, per_value, channels, side, side))
    widths = [outputs for _, outputs, _ in convolutions(networks.encoder)]
    assert widths[-2:] == [64, 64] and set(widths[:-2]) <= {32}


def test_vectors_take_a_perceptron() -> None:
    networks = auto(input_shape=(7,), latents=TEN, likelihood=GAUSSIAN, hidden=[30, 20, 10])
    sizes = [
        (each.in_features, each.out_features) for each in networks.encoder.modules() if isinstance(each, nn.Linear)
    ]
    assert sizes == [(7, 30), (30, 20), (20, 10), (10, 20)]
    sizes = [
        (each.in_features, each.out_features) for each in networks.decoder.modules() if isinstance(each, nn.Linear)
    ]
    assert sizes[:3] == [(10, 10), (10, 20), (20, 30)]
    assert shapes(networks, (7,))[0] == (2, 20)


class Counts(BernoulliLikelihood):
    support = "counts"


@pytest.mark.parametrize(
    ("input_shape", "likelihood", "options", "message"),
    [
        ((1, 12, 12), BERNOULLI, {}, "takes square images of 16 to 256 pixels .* gives 12×12"),
        ((1, 300, 300), BERNOULLI, {}, "gives 300×300"),
        ((1, 32, 30), BERNOULLI, {}, "gives 32×30"),
        ((5, 32, 32), BERNOULLI, {}, "at most 4 channels, the data set gives 32×32 with 5"),
        ((1, 32, 32), BERNOULLI, {"kernel": 3}, "model.kernel=3: expected 2 or 4"),
        ((9,), BERNOULLI, {"hidden": []}, "model.hidden="),
        ((9,), BERNOULLI, {"hidden": [0]}, "model.hidden="),
        ((9,), BERNOULLI, {"hidden": 3}, "model.hidden=3: expected whole numbers"),
        ((9,), BERNOULLI, {"hidden": [True]}, "model.hidden="),
        ((9,), Counts(), {}, "does not take bags of words; expected model=prodlda"),
    ],
)
def test_what_does_not_fit(
    input_shape: tuple[int, ...], likelihood: Likelihood, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        auto(input_shape=input_shape, latents=TEN, likelihood=likelihood, **options)  # type: ignore[arg-type]


def test_the_standard_network_takes_64_only() -> None:
    with pytest.raises(ConfigError, match="takes images of 64×64, the data set gives 32×32; expected image_size=64"):
        conv_standard64(input_shape=(1, 32, 32), latents=TEN, likelihood=BERNOULLI)
