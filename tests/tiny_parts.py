"""Data sets and networks so small that a thousand runs of three steps take seconds; configs name them as `_target_`."""

import math
from dataclasses import replace

import torch
from torch import nn

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data.factors import Grid
from hfvae_runner.latents.latents import Latents
from hfvae_runner.models.likelihoods import Likelihood
from hfvae_runner.models.networks import Networks

_CLASSES = 3


def unit_interval() -> Dataset:
    """Twenty-four grey images of 4×4 pixels, in three classes."""
    images = torch.randint(256, (24, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return _in_classes(images, "unit_interval")


def with_factors() -> Dataset:
    """The same images, with two ground-truth factors of three and eight values."""
    dataset, grid = unit_interval(), Grid(("class", "number"), (3, 8))
    split = replace(dataset.train, factors=grid.cells())
    return replace(dataset, train=split, test=split, factors=grid)


def real() -> Dataset:
    """Twenty-four vectors of 16 real numbers, in three classes."""
    return _in_classes(torch.randn(24, 16, generator=torch.Generator().manual_seed(0)), "real")


def counts() -> Dataset:
    """Twenty-four documents over 16 words, in three classes."""
    return _in_classes(torch.poisson(torch.ones(24, 16), generator=torch.Generator().manual_seed(0)), "counts")


def networks(*, input_shape: tuple[int, ...], latents: Latents, likelihood: Likelihood) -> Networks:
    """One hidden layer each way."""
    values, outputs = math.prod(input_shape), latents.n_parameters
    raw = (likelihood.parameters_per_value, *input_shape)
    return Networks(
        encoder=nn.Sequential(nn.Flatten(), nn.Linear(values, 8), nn.ReLU(), nn.Linear(8, outputs)),
        decoder=nn.Sequential(
            nn.Linear(latents.n_code, 8), nn.ReLU(), nn.Linear(8, math.prod(raw)), nn.Unflatten(1, raw)
        ),
    )


def _in_classes(x: torch.Tensor, values: str) -> Dataset:
    split = Split(x, torch.arange(len(x)) % _CLASSES)
    return Dataset(split, split, values, ("one", "two", "three"))  # type: ignore[arg-type]
