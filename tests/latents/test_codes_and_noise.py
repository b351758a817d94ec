"""InfoGAN's latents: uniform codes, and noise that the encoder does not infer."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from hfvae_runner.errors import ConfigError
from hfvae_runner.latents.blocks import NormalBlock
from hfvae_runner.latents.latents import Latents
from hfvae_runner.latents.priors.codes_and_noise import codes_and_noise


def made(size: int = 2, noise: int = 3, categories: int | list[int] | None = 4) -> Latents:
    return codes_and_noise(size=size, noise=noise, categories=categories, temperature=0.66)


def test_the_blocks_and_what_the_encoder_returns_for_them() -> None:
    latents = made()
    assert [block.name for block in latents.blocks] == ["z", "class", "noise"]
    assert [block.n_parameters for block in latents.blocks] == [4, 4, 0]
    assert (latents.n_parameters, latents.n_code, latents.inferred) == (8, 9, (0, 1))
    assert [block.name for block in made(noise=0, categories=[2, 3]).blocks] == ["z", "class_1", "class_2"]


def test_the_posterior_of_the_noise_is_its_prior() -> None:
    latents = made()
    outputs = torch.arange(10.0).view(1, 10)[:, :8].repeat(5, 1)
    z, y, noise = latents.posterior(outputs)
    assert torch.equal(torch.cat([z, y], dim=1), outputs)
    assert noise.shape == (5, 6) and not noise.any()
    (block,) = latents.blocks[2:]
    drawn = block.sample(noise, torch.ones(5, 3), hard=False)
    assert torch.equal(drawn, torch.ones(5, 3))
    pieces = latents.pieces([2])
    assert pieces[0].kl("joint", latents.posterior(outputs)).tolist() == [0.0] * 5


def test_codes_are_uniform_under_the_prior_and_noise_is_normal() -> None:
    latents = made(size=1, noise=1, categories=None)
    draws = latents.prior_sample(latents.prior_noise(20_000, torch.Generator().manual_seed(0), torch.float64))
    code, noise = latents.code(draws).T.numpy()
    assert kstest(code, "uniform", args=(-1, 2)).pvalue > 1e-3
    assert kstest(noise, "norm").pvalue > 1e-3
    assert np.array_equal(np.argsort(code), np.argsort(draws[0][:, 0].numpy())), "the map keeps the order"


def test_a_block_is_plain_unless_it_is_said() -> None:
    z = torch.randn(3, 2)
    assert torch.equal(NormalBlock("z", 2).code(z), z)
    assert NormalBlock("z", 2).n_parameters == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "prior.size=0: expected a whole number from 1 on"),
        ({"noise": -1}, "prior.noise=-1: expected a whole number from 0 on"),
        ({"categories": 1}, "prior.categories=1: expected a whole number from 2 on"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**options)
