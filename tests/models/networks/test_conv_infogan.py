"""InfoGAN's networks for MNIST, against the authors' code, and their two other sizes."""

import pytest
import torch
from paper_tables import check_shapes, conv, count, fc, norm, printed

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.priors.codes_and_noise import codes_and_noise
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.models.likelihoods import BernoulliLikelihood, GaussianLikelihood, MultinomialLikelihood
from hfvae_runner.models.networks.conv_infogan import conv_infogan

BERNOULLI = BernoulliLikelihood()
PUBLISHED = codes_and_noise(size=2, noise=62, categories=10, temperature=0.66)
AFTER, AFTER_UP = ("BatchNorm", "LeakyReLU 0.1"), ("BatchNorm", "ReLU")

pytestmark = pytest.mark.usefixtures("one_thread")


def test_for_28_pixels_it_is_the_authors_network() -> None:
    networks = conv_infogan(input_shape=(1, 28, 28), latents=PUBLISHED, likelihood=BERNOULLI)
    assert printed(networks.encoder) == [
        *("conv 4/2 64", "LeakyReLU 0.1", "conv 4/2 128", *AFTER, "FC 1024", *AFTER, "FC 128", *AFTER, "FC 14")
    ]
    assert printed(networks.decoder) == [
        *("FC 1024", *AFTER_UP, "FC 6272", *AFTER_UP, "upconv 4/2 64", *AFTER_UP, "upconv 4/2 1")
    ]
    encoder = conv(1, 64) + conv(64, 128) + fc(6272, 1024) + fc(1024, 128) + fc(128, 2 * 2 + 10)
    assert count(networks.encoder) == encoder + norm(128, 1024, 128)
    decoder = fc(74, 1024) + fc(1024, 6272) + conv(128, 64) + conv(64, 1)
    assert count(networks.decoder) == decoder + norm(1024, 6272, 64)


@pytest.mark.parametrize(("side", "widths"), [(28, (64, 128)), (32, (64, 128)), (64, (64, 128, 256))])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_sides(side: int, widths: tuple[int, ...], channels: int) -> None:
    shape, latents = (channels, side, side), normal(size=10)
    networks = conv_infogan(input_shape=shape, latents=latents, likelihood=GaussianLikelihood(scale="predicted"))
    check_shapes(networks, shape, latents, per_value=2)
    convolutions = [row for row in printed(networks.encoder) if row.startswith("conv")]
    assert convolutions == [f"conv 4/2 {width}" for width in widths]


def test_it_starts_as_the_authors_network() -> None:
    torch.manual_seed(0)
    networks = conv_infogan(input_shape=(1, 28, 28), latents=PUBLISHED, likelihood=BERNOULLI)
    for layer in (*networks.encoder.modules(), *networks.decoder.modules()):
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 48, 48),
            "takes images of 28×28, 32×32 or 64×64, the data set gives 48×48; expected image_size=28, 32 or 64",
        ),
        (
            (1, 64, 32),
            "takes images of 28×28, 32×32 or 64×64, the data set gives 64×32; expected image_size=28, 32 or 64",
        ),
        ((2,), "takes images, the data set gives vectors; expected model=mlp_pinwheel"),
    ],
)
def test_other_data_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=f"model=conv_infogan {message}"):
        conv_infogan(input_shape=shape, latents=normal(size=2), likelihood=BERNOULLI)


def test_bags_of_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="the data set gives bags of words"):
        conv_infogan(input_shape=(2000,), latents=normal(size=2), likelihood=MultinomialLikelihood())
