"""The convolutions for 64×64 pixels, against HFVAE Table 6, β-TCVAE's code, JointVAE App. B, α-β Tables 1a and 1c."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from paper_tables import check_shapes, conv, count, fc, norm, printed
from torch import nn

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.models.likelihoods import (
    BernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    MultinomialLikelihood,
)
from hfvae_runner.models.networks import Networks
from hfvae_runner.models.networks.conv_celeba import conv_celeba
from hfvae_runner.models.networks.conv_faces import conv_faces
from hfvae_runner.models.networks.conv_joint64 import conv_joint64
from hfvae_runner.models.networks.conv_shapes import conv_shapes
from hfvae_runner.models.networks.dcgan import dcgan

Factory = Callable[..., Networks]
FACTORIES: tuple[Factory, ...] = (conv_celeba, conv_faces, conv_joint64, conv_shapes, dcgan)
BERNOULLI = BernoulliLikelihood()
TEN = normal(size=10)
GREY, COLOUR = (1, 64, 64), (3, 64, 64)
FEATURES = 64 * 4 * 4

pytestmark = pytest.mark.usefixtures("one_thread")


def rows(kind: str, channels: tuple[int, ...], *after: str) -> list[str]:
    """Convolutions of kernel 4 and stride 2, each with what stands behind it."""
    return [row for outputs in channels for row in (f"{kind} 4/2 {outputs}", *after)]


def convs(*channels: int) -> int:
    return sum(conv(*pair) for pair in pairwise(channels))


def test_conv_celeba_is_hfvaes_table_6() -> None:
    latents = normal_concrete(continuous=20, categories=2, temperature=0.66, n_classes=None)
    networks = conv_celeba(input_shape=COLOUR, latents=latents, likelihood=BERNOULLI)
    branch = ["FC 256", "ReLU", "FC 20"]
    downs = rows("conv", (32, 32, 64, 64), "BatchNorm", "ReLU")
    assert printed(networks.encoder) == [*downs, *branch, *branch, "FC 2"]
    ups = [*rows("upconv", (64, 32, 32), "BatchNorm", "ReLU"), "upconv 4/2 3"]
    assert printed(networks.decoder) == ["FC 256", "ReLU", "FC 1024", "Tanh", *ups]
    heads = 2 * (fc(FEATURES, 256) + fc(256, 20)) + fc(FEATURES, 2)
    assert count(networks.encoder) == convs(3, 32, 32, 64, 64) + norm(32, 32, 64, 64) + heads
    linear = fc(22, 256) + fc(256, FEATURES)
    assert count(networks.decoder) == linear + convs(64, 64, 32, 32, 3) + norm(64, 32, 32)
    check_shapes(networks, COLOUR, latents)


def test_conv_faces_is_beta_tcvaes_code_less_idle_biases() -> None:
    networks = conv_faces(input_shape=GREY, latents=TEN, likelihood=BERNOULLI)
    assert printed(networks.encoder) == [
        *rows("conv", (32, 32, 64, 64), "BatchNorm", "ReLU"),
        *("conv 4/1 512", "BatchNorm", "ReLU"),
        "FC 20",
    ]
    assert printed(networks.decoder) == [
        *("upconv 1/1 512", "BatchNorm", "ReLU"),
        *("upconv 4/1 64", "BatchNorm", "ReLU"),
        *rows("upconv", (64, 32, 32), "BatchNorm", "ReLU"),
        "upconv 4/2 1",
    ]
    # As published, every layer has a bias beside scale and shift of the normalisation behind it.
    normalised = 32, 32, 64, 64, 512
    published = convs(1, 32, 32, 64, 64, 512) + 2 * sum(normalised) + conv(512, 20, kernel=1)
    assert published == 651_860
    assert count(networks.encoder) == published - sum(normalised)
    normalised = 512, 64, 64, 32, 32
    published = conv(10, 512, kernel=1) + convs(512, 64, 64, 32, 32, 1) + 2 * sum(normalised)
    assert published == 646_721
    assert count(networks.decoder) == published - sum(normalised)
    check_shapes(networks, GREY, TEN)


def test_conv_joint64_is_jointvaes_table() -> None:
    latents = normal_concrete(continuous=32, categories=10, temperature=0.67, n_classes=None)
    networks = conv_joint64(input_shape=COLOUR, latents=latents, likelihood=BERNOULLI)
    assert printed(networks.encoder) == [*rows("conv", (32, 32, 64, 64), "ReLU"), "FC 256", "ReLU", "FC 74"]
    ups = [*rows("upconv", (64, 32, 32), "ReLU"), "upconv 4/2 3"]
    assert printed(networks.decoder) == ["FC 256", "ReLU", "FC 1024", "ReLU", *ups]
    assert count(networks.encoder) == convs(3, 32, 32, 64, 64) + fc(FEATURES, 256) + fc(256, 2 * 32 + 10)
    assert count(networks.decoder) == fc(42, 256) + fc(256, FEATURES) + convs(64, 64, 32, 32, 3)
    check_shapes(networks, COLOUR, latents)


def test_conv_shapes_is_the_alpha_beta_papers_table_1a() -> None:
    networks = conv_shapes(input_shape=GREY, latents=TEN, likelihood=BERNOULLI)
    assert printed(networks.encoder) == [*rows("conv", (32, 32, 64, 64), "ReLU"), "FC 128", "FC 20"]
    ups = [*rows("upconv", (64, 64, 32), "ReLU"), "upconv 4/2 1"]
    assert printed(networks.decoder) == ["FC 128", "ReLU", "FC 1024", "ReLU", *ups]
    assert count(networks.encoder) == convs(1, 32, 32, 64, 64) + fc(FEATURES, 128) + fc(128, 2 * 10)
    assert count(networks.decoder) == fc(10, 128) + fc(128, FEATURES) + convs(64, 64, 64, 32, 1)
    check_shapes(networks, GREY, TEN)


def test_dcgan_is_the_alpha_beta_papers_table_1c() -> None:
    latents = normal(size=50)
    networks = dcgan(input_shape=COLOUR, latents=latents, likelihood=BERNOULLI)
    # "4x4 conv. 50, 4x4 conv. 50" of 4×4 places is a linear layer of 2 × 50.
    downs = rows("conv", (32, 64, 128, 256), "BatchNorm", "LeakyReLU 0.2")
    assert printed(networks.encoder) == [*downs, "FC 100"]
    ups = [*rows("upconv", (128, 64, 32), "BatchNorm", "ReLU"), "upconv 4/2 3"]
    assert printed(networks.decoder) == ["upconv 4/1 256", "BatchNorm", "ReLU", *ups]
    heads = 2 * conv(256, 50)
    assert count(networks.encoder) == convs(3, 32, 64, 128, 256) + norm(32, 64, 128, 256) + heads
    assert count(networks.decoder) == convs(50, 256, 128, 64, 32, 3) + norm(256, 128, 64, 32) - 3
    check_shapes(networks, COLOUR, latents)


def test_dcgan_of_32_is_that_of_the_alpha_beta_authors_code() -> None:
    """Their code for Fashion-MNIST has 32 channels at first (fBase), and no normalisation there."""
    latents, small = normal(size=50), (1, 32, 32)
    networks = dcgan(input_shape=small, latents=latents, likelihood=BERNOULLI)
    downs = ["conv 4/2 32", "LeakyReLU 0.2", *rows("conv", (64, 128), "BatchNorm", "LeakyReLU 0.2")]
    assert printed(networks.encoder) == [*downs, "FC 100"]
    ups = [*rows("upconv", (64, 32), "BatchNorm", "ReLU"), "upconv 4/2 1"]
    assert printed(networks.decoder) == ["upconv 4/1 128", "BatchNorm", "ReLU", *ups]
    check_shapes(networks, small, latents)


@pytest.mark.parametrize("shape", [(1, 32, 32), GREY])
def test_dcgan_starts_as_dcgan(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    networks = dcgan(input_shape=shape, latents=TEN, likelihood=BERNOULLI)
    for layer in (*networks.encoder.modules(), *networks.decoder.modules()):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_channels_come_from_the_data_and_parameters_from_the_likelihood(
    factory: Factory, shape: tuple[int, ...]
) -> None:
    likelihood = GaussianLikelihood(scale="predicted")
    check_shapes(factory(input_shape=shape, latents=TEN, likelihood=likelihood), shape, TEN, per_value=2)


@pytest.mark.parametrize("factory", FACTORIES)
def test_predicted_scales_stand_behind_all_the_locations(factory: Factory) -> None:
    """Channels [mean of each colour, log scale of each]: a weight on one output changes that parameter alone."""
    networks = factory(input_shape=COLOUR, latents=TEN, likelihood=LaplaceLikelihood(scale="predicted")).decoder.eval()
    last = next(layer for layer in reversed(list(networks.modules())) if isinstance(layer, nn.ConvTranspose2d))
    code = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    before = networks(code)
    with torch.no_grad():
        last.weight[:, 4] += 1  # 3 + 1: the log scale of the second colour
    changed = (networks(code) != before).flatten(3).any(3)
    assert changed.nonzero().tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("shape", "given"), [((1, 28, 28), "28×28"), ((3, 64, 32), "64×32"), ((3, 128, 128), "128×128")]
)
def test_dcgan_has_two_sides(shape: tuple[int, ...], given: str) -> None:
    expected = f"takes images of 32×32 or 64×64, the data set gives {given}; expected image_size=32 or 64"
    with pytest.raises(ConfigError, match=f"model=dcgan {expected}"):
        dcgan(input_shape=shape, latents=TEN, likelihood=BERNOULLI)


@pytest.mark.parametrize("factory", [factory for factory in FACTORIES if factory is not dcgan])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), "takes images of 64×64, the data set gives 28×28; expected image_size=64"),
        ((3, 64, 32), "takes images of 64×64, the data set gives 64×32; expected image_size=64"),
        ((2,), "takes images, the data set gives vectors; expected model=mlp_pinwheel"),
    ],
)
def test_other_data_are_refused(factory: Factory, shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        factory(input_shape=shape, latents=TEN, likelihood=BERNOULLI)
    name = getattr(factory, "__name__", "")
    assert str(refusal.value) == f"model={name} {expected}"


@pytest.mark.parametrize("factory", FACTORIES)
def test_bags_of_words_are_refused(factory: Factory) -> None:
    with pytest.raises(ConfigError, match="the data set gives bags of words; expected model=prodlda or model=nvdm"):
        factory(input_shape=(2000,), latents=TEN, likelihood=MultinomialLikelihood())


@pytest.mark.parametrize("factory", [conv_celeba, conv_faces, dcgan])
def test_evaluation_does_not_depend_on_the_batch(factory: Factory) -> None:
    torch.manual_seed(0)
    networks = factory(input_shape=GREY, latents=TEN, likelihood=BERNOULLI)
    x = torch.rand(4, *GREY)
    networks.encoder(x)
    networks.encoder.eval()
    torch.testing.assert_close(networks.encoder(x)[:1], networks.encoder(x[:1]))
