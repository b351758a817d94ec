import math

import pytest
import torch
from torch import Tensor

from hfvae_runner.data import Dataset
from hfvae_runner.data.pinwheel import pinwheel
from hfvae_runner.errors import ConfigError

PAPER = {"arms": 4, "points_per_arm": 100, "radial_std": 0.1, "tangential_std": 0.3, "rate": 0.25}


def made(**changed: object) -> Dataset:
    return pinwheel(**(PAPER | changed))  # type: ignore[arg-type]


def test_four_arms_of_a_hundred_points_in_each_part() -> None:
    dataset = made()
    assert dataset.train.x.shape == dataset.test.x.shape == (400, 2)
    assert dataset.train.x.dtype == torch.float32
    assert (dataset.values, dataset.train.labels, dataset.n_classes) == ("real", None, None)
    assert torch.equal(dataset.train.x, made().train.x)
    assert not torch.isclose(dataset.train.x[:, None], dataset.test.x[None]).all(2).any()


def test_a_part_of_it() -> None:
    part, whole = made(subset=30), made()
    assert part.train.x.shape == part.test.x.shape == (30, 2)
    assert torch.isclose(part.train.x[:, None], whole.train.x[None]).all(2).any(1).all()


def unwound(points: Tensor, rate: float) -> Tensor:
    """One arm's points (along, across), for an arm that turns by rate·exp(along)."""
    # |point|² = along² + across² does not give `along`; turning back by its angle does, at the fixed point.
    along = points.norm(dim=1)
    for _ in range(200):
        angle = rate * torch.exp(along)
        along = 0.5 * along + 0.5 * (points[:, 0] * torch.cos(angle) + points[:, 1] * torch.sin(angle))
    angle = rate * torch.exp(along)
    return torch.stack([along, -points[:, 0] * torch.sin(angle) + points[:, 1] * torch.cos(angle)], dim=1)


@pytest.mark.parametrize(("radial", "tangential"), [(0.1, 0.3), (0.3, 0.1)])
def test_an_arms_moments_along_and_across(radial: float, tangential: float) -> None:
    """α-β paper, App. B: radial and tangential standard deviations 0.1 and 0.3. 20,000 points give them to 2 %."""
    arm = made(arms=1, points_per_arm=20_000, radial_std=radial, tangential_std=tangential, rate=0).train.x
    assert arm.mean(0).tolist() == pytest.approx([1, 0], abs=0.01)
    assert arm.std(0).tolist() == pytest.approx([radial, tangential], rel=0.02)
    assert abs(torch.corrcoef(arm.T)[0, 1].item()) < 0.03


def test_an_arm_turns_with_the_distance() -> None:
    straight, turned = (made(arms=1, rate=rate, tangential_std=0.1).train.x.double() for rate in (0, 0.25))
    torch.testing.assert_close(unwound(turned, 0.25), straight, rtol=0, atol=1e-5)
    # Without width, a point at distance r has the angle 0.25·exp(r).
    line = made(arms=1, tangential_std=0).train.x
    angle = torch.atan2(line[:, 1], line[:, 0])
    torch.testing.assert_close(angle, 0.25 * torch.exp(line.norm(dim=1)), rtol=1e-4, atol=1e-4)


def test_the_arms_are_quarter_turns_of_one_another() -> None:
    arms = made(radial_std=0, tangential_std=0, points_per_arm=1).train.x
    angle = torch.atan2(arms[:, 1], arms[:, 0])
    steps = (angle - angle[0]).remainder(2 * math.pi)
    torch.testing.assert_close(steps, math.pi / 2 * torch.arange(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(arms.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arms": 0}, "dataset.arms=0: expected a whole number from 1 on"),
        ({"points_per_arm": 1.5}, "dataset.points_per_arm=1.5"),
        ({"points_per_arm": True}, "dataset.points_per_arm=True"),
        ({"radial_std": -0.1}, "dataset.radial_std=-0.1: expected a number from 0 on"),
        ({"tangential_std": math.inf}, "dataset.tangential_std=inf"),
        ({"rate": "fast"}, "dataset.rate='fast'"),
    ],
)
def test_a_number_out_of_range_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(**changed)
