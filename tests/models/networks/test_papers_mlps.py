"""The multilayer perceptrons for dSprites, against HFVAE Table 5 and ISA-VAE App. A.4."""

import pytest
from paper_tables import check_shapes, count, fc, printed

from hfvae_runner.latents.priors.normal import normal
from hfvae_runner.latents.priors.normal_concrete import normal_concrete
from hfvae_runner.models.likelihoods import BernoulliLikelihood, GaussianLikelihood
from hfvae_runner.models.networks.mlp_1200 import mlp_1200
from hfvae_runner.models.networks.mlp_dsprites import mlp_dsprites

BERNOULLI = BernoulliLikelihood()
TEN_THREE = normal_concrete(continuous=10, categories=3, temperature=0.66, n_classes=None)
DSPRITES = (1, 64, 64)


def test_mlp_dsprites_is_hfvaes_table_5() -> None:
    networks = mlp_dsprites(input_shape=DSPRITES, latents=TEN_THREE, likelihood=BERNOULLI)
    branch = ["FC 400", "ReLU", "FC 10"]
    assert printed(networks.encoder) == ["FC 1200", "ReLU", "FC 1200", "ReLU", *branch, *branch, "FC 3"]
    assert printed(networks.decoder) == ["FC 400", "Tanh", "FC 1200", "Tanh", "FC 1200", "Tanh", "FC 4096"]
    trunk = fc(4096, 1200) + fc(1200, 1200)
    assert count(networks.encoder) == trunk + 2 * (fc(1200, 400) + fc(400, 10)) + fc(1200, 3) == 7_330_023
    layers = fc(10 + 3, 400), fc(400, 1200), fc(1200, 1200), fc(1200, 4096)
    assert count(networks.decoder) == sum(layers) == 6_847_296
    check_shapes(networks, DSPRITES, TEN_THREE)


@pytest.mark.parametrize(("z", "parameters"), [(10, 6_381_620 + 7_814_896), (20, 6_405_640 + 7_826_896)])
def test_mlp_1200_is_isa_vaes_listing(z: int, parameters: int) -> None:
    latents = normal(size=z)
    networks = mlp_1200(input_shape=DSPRITES, latents=latents, likelihood=BERNOULLI)
    assert printed(networks.encoder) == ["FC 1200", "ReLU", "FC 1200", "ReLU", f"FC {2 * z}"]
    assert printed(networks.decoder) == ["FC 1200", "Tanh", "FC 1200", "Tanh", "FC 1200", "Tanh", "FC 4096"]
    encoder = fc(4096, 1200) + fc(1200, 1200) + fc(1200, 2 * z)
    decoder = fc(z, 1200) + 2 * fc(1200, 1200) + fc(1200, 4096)
    assert count(networks.encoder) == encoder
    assert count(networks.decoder) == decoder
    assert encoder + decoder == parameters
    check_shapes(networks, DSPRITES, latents)


@pytest.mark.parametrize("factory", [mlp_dsprites, mlp_1200])
def test_sizes_come_from_the_data_the_prior_and_the_likelihood(factory: object) -> None:
    assert callable(factory)
    likelihood = GaussianLikelihood(scale="predicted")
    for shape in ((3, 9, 7), (5,)):
        check_shapes(factory(input_shape=shape, latents=TEN_THREE, likelihood=likelihood), shape, TEN_THREE, 2)
