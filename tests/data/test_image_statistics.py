"""Measures of pictures whose answers are known by construction."""

import math

import pytest
import torch
from torch import Tensor

from hfvae_runner.data import PackedBits
from hfvae_runner.data.image_statistics import MEASURES, measured


def blank() -> Tensor:
    return torch.zeros(1, 1, 20, 24, dtype=torch.uint8)


def stroke(shear: float) -> Tensor:
    """A line of 15 rows that moves ``shear`` columns to the right for each row upwards."""
    image = blank()
    for row in range(2, 17):
        image[0, 0, row, 12 + round(shear * (9 - row))] = 255
    return image


def box(rows: int, columns: int, value: int = 255) -> Tensor:
    image = blank()
    image[0, 0, 3 : 3 + rows, 5 : 5 + columns] = value
    return image


def one(name: str, image: Tensor) -> float:
    return measured(name, image).item()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (4, 9), (17, 19)])
def test_a_box_has_its_sides_and_its_area(rows: int, columns: int) -> None:
    image = box(rows, columns, 204)
    assert one("height", image) == rows
    assert one("width", image) == columns
    assert one("ink", image) == pytest.approx(0.8 * rows * columns / (20 * 24))
    assert one("slant", image) == pytest.approx(0)


def test_what_is_less_than_half_as_bright_is_not_drawn() -> None:
    image = box(4, 4, 100)
    image[0, 0, 0, 0] = 49
    assert (one("height", image), one("width", image)) == (4, 4)
    image[0, 0, 0, 0] = 50
    assert (one("height", image), one("width", image)) == (7, 9)


@pytest.mark.parametrize("shear", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_the_slant_is_the_shear_of_a_line(shear: float) -> None:
    assert one("slant", stroke(shear)) == pytest.approx(shear, abs=0.02)


def test_where_the_picture_is_does_not_change_its_slant() -> None:
    moved = stroke(0.5).roll((2, -3), dims=(2, 3))
    assert one("slant", moved) == pytest.approx(one("slant", stroke(0.5)))


@pytest.mark.parametrize("name", MEASURES)
def test_a_black_image_has_a_measure(name: str) -> None:
    assert one(name, blank()) == 0


@pytest.mark.parametrize("name", MEASURES)
def test_many_are_measured_as_each_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae_runner.data.image_statistics._PIECE", 4)
    images = torch.randint(0, 256, (11, 3, 8, 9), generator=torch.Generator().manual_seed(0)).byte()
    together = measured(name, images)
    assert together.dtype == torch.float64
    assert together.tolist() == pytest.approx([one(name, image[None]) for image in images])


def test_packed_images_and_colours() -> None:
    images = torch.cat([stroke(0.5), box(4, 9)])
    packed = PackedBits.pack(images)
    for name in MEASURES:
        assert torch.equal(measured(name, packed), measured(name, images))
        torch.testing.assert_close(measured(name, images.expand(-1, 3, -1, -1)), measured(name, images))
    assert math.isclose(one("ink", torch.cat([box(4, 9), blank()], dim=1)), one("ink", box(4, 9)) / 2)
