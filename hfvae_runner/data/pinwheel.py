"""Pinwheel: points of the plane in four spiral arms, made on the spot (Johnson et al. 2016; α-β paper, App. B)."""

import math

import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, Split, reduced
from hfvae_runner.errors import ConfigError


def pinwheel(
    *,
    arms: int,
    points_per_arm: int,
    radial_std: float,
    tangential_std: float,
    rate: float,
    subset: int | None = None,
) -> Dataset:
    """Training and test points [arms·points_per_arm, 2], float32; the paper's task is unsupervised, so no labels.

    Args:
        arms: spirals.
        points_per_arm: in each split.
        radial_std: standard deviation of a point's distance along its arm, around 1.
        tangential_std: standard deviation across the arm.
        rate: how far an arm turns with the distance along it: the angle is 2πk/arms + rate·exp(distance).
        subset: how many random training points to keep; None keeps all.

    Raises:
        ConfigError: a number out of range.
    """
    for key, count in {"arms": arms, "points_per_arm": points_per_arm}.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigError(f"dataset.{key}={count!r}: expected a whole number from 1 on")
    for key, number in {"radial_std": radial_std, "tangential_std": tangential_std, "rate": rate}.items():
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 <= number < math.inf:
            raise ConfigError(f"dataset.{key}={number!r}: expected a number from 0 on")

    def points(seed: int) -> Split:
        # The points are part of the data set: their seed is not the run's.
        noise = torch.randn(arms, points_per_arm, 2, generator=torch.Generator().manual_seed(seed))
        return Split(_spirals(noise * torch.tensor([radial_std, tangential_std]), rate).flatten(0, 1))

    return reduced(Dataset(train=points(0), test=points(1), values="real"), subset)


def _spirals(offsets: Tensor, rate: float) -> Tensor:
    """Offsets (radial, tangential) from the point (1, 0), [arms, n, 2], turned onto their arms."""
    along = 1 + offsets[..., 0]
    across = offsets[..., 1]
    arms = len(offsets)
    angle = (2 * math.pi / arms * torch.arange(arms))[:, None] + rate * torch.exp(along)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([along * cos - across * sin, along * sin + across * cos], dim=-1)
