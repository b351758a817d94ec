"""The rendered grid against dSprites' published facts, its shapes against geometry."""

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data._examples import PackedBits
from hfvae_runner.data._render import ANGLES, FIRST, SCALES, SHAPES, masks, packed_grid
from hfvae_runner.data.dsprites import GRID
from hfvae_runner.data.dsprites_rendered import dsprites_rendered
from hfvae_runner.errors import ConfigError

SQUARE, ELLIPSE, HEART = range(3)
AREA = (17.3**2, math.pi * 14 * 6.6, 12.8**2 * (1 + math.pi / 4))


@pytest.fixture(scope="module")
def dataset() -> Iterator[Dataset]:
    yield dsprites_rendered(image_size=None, subset=None)


@pytest.fixture(scope="module")
def sprites() -> NDArray[np.bool_]:
    """[3, 6, 40, 64, 64]."""
    return masks()


def packed(split: Split) -> NDArray[np.uint8]:
    """[N, 64 rows, 8 bytes]."""
    assert isinstance(split.x, PackedBits)
    return split.x.packed.numpy().reshape(-1, 64, 8)


def cell(shape: int, scale: int, orientation: int, x: int, y: int) -> Tensor:
    """The published order, written out: y fastest, then x, orientation, scale, shape."""
    return torch.tensor([(((shape * 6 + scale) * 40 + orientation) * 32 + x) * 32 + y])


def middles(images: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of mass (x, y) of images [*, 64, 64], each [*]."""
    n = images.sum((-2, -1))
    return (images.sum(-2) * np.arange(64)).sum(-1) / n, (images.sum(-1) * np.arange(64)).sum(-1) / n


def test_the_grid_is_the_published_one(dataset: Dataset) -> None:
    assert GRID.names == ("shape", "scale", "orientation", "x", "y")
    assert GRID.sizes == (3, 6, 40, 32, 32)
    assert GRID.nuisance == ("shape",)
    assert dataset.train.x.shape == (737_280, 1, 64, 64)
    assert (dataset.factors, dataset.values) == (GRID, "unit_interval")
    assert list(SHAPES) == ["square", "ellipse", "heart"]
    assert pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]) == SCALES.tolist()


def test_the_images_are_binary_and_packed(dataset: Dataset) -> None:
    assert packed(dataset.train).nbytes == 737_280 * 512
    images = dataset.train.x[torch.arange(0, 737_280, 9001)]
    assert images.dtype == torch.uint8
    assert set(images.unique().tolist()) == {0, 255}


def test_every_cell_is_the_sprite_of_its_factors(dataset: Dataset) -> None:
    generator = torch.Generator().manual_seed(0)
    for shape, scale, orientation, x, y in GRID.sample(200, generator).tolist():
        image = dataset.train.x[cell(shape, scale, orientation, x, y)][0, 0].numpy() == 255
        first = masks(SCALES[[scale]], ANGLES[[orientation]])[shape, 0, 0]
        assert (image == np.roll(first, (y, x), axis=(0, 1))).all()


def test_factors_and_labels_belong_to_their_images(dataset: Dataset) -> None:
    index = torch.arange(0, 737_280, 997)
    assert dataset.train.factors is not None and dataset.train.labels is not None
    assert dataset.train.factors.dtype == torch.int16
    assert torch.equal(dataset.train.factors[index].long(), GRID.to_factors(index))
    assert torch.equal(dataset.train.labels[index], GRID.to_factors(index)[:, 0])
    assert dataset.label_names == ("square", "ellipse", "heart")


def test_as_many_pixels_are_on_as_in_dsprites(dataset: Dataset) -> None:
    on = np.bitwise_count(packed(dataset.train).view(np.uint64)).sum(dtype=np.int64)
    assert on / (737_280 * 4096) == pytest.approx(0.0425, rel=0.01)


def test_no_sprite_leaves_the_image(dataset: Dataset) -> None:
    rows = packed(dataset.train)
    assert not rows[:, [0, 63]].any()
    assert not (rows[:, :, 0] & 0b10000000).any()
    assert not (rows[:, :, 7] & 0b00000001).any()
    counts = np.bitwise_count(rows.view(np.uint64)).sum((1, 2), dtype=np.int64).reshape(720, 1024)
    assert (counts == counts[:, :1]).all()


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE, HEART])
def test_centres_of_mass_follow_x_and_y_linearly(dataset: Dataset, shape: int) -> None:
    start = int(cell(shape, 2, 7, 0, 0))
    images = dataset.train.x[torch.arange(start, start + 1024)].numpy().reshape(32, 32, 64, 64) == 255
    x, y = middles(images)
    assert x - x[0, 0] == pytest.approx(np.arange(32.0)[:, None].repeat(32, 1))
    assert y - y[0, 0] == pytest.approx(np.arange(32.0)[None].repeat(32, 0))


def test_sprites_are_centred_on_their_place(sprites: NDArray[np.bool_]) -> None:
    x, y = middles(sprites)
    assert abs(x - FIRST[0]).max() < 0.3
    assert abs(y - FIRST[1]).max() < 0.3
    # All scales and angles together, the pixels' rounding evens out.
    assert x.mean((1, 2)) == pytest.approx(np.full(3, FIRST[0]), abs=0.03)
    assert y.mean((1, 2)) == pytest.approx(np.full(3, FIRST[1]), abs=0.03)


def test_the_places_lie_in_the_middle_of_the_image() -> None:
    for first in FIRST:
        assert (first + first + 31) / 2 == pytest.approx(31.5, abs=0.5)


def test_areas_are_the_shapes_and_grow_with_the_square_of_the_scale(sprites: NDArray[np.bool_]) -> None:
    areas = sprites.sum((-2, -1)).mean(-1)
    assert areas == pytest.approx(np.array(AREA)[:, None] * SCALES**2, rel=0.01)
    assert areas[:, 5] / areas[:, 0] == pytest.approx(np.full(3, 4.0), rel=0.02)


def test_the_two_ends_of_the_turn_are_one_picture_and_no_others(sprites: NDArray[np.bool_]) -> None:
    assert (sprites[:, :, 0] == sprites[:, :, 39]).all()
    pictures = sprites[:, :, :39].reshape(-1, 4096)
    assert len(np.unique(np.packbits(pictures, axis=1), axis=0)) == 3 * 6 * 39


def test_a_square_repeats_every_quarter_turn_an_ellipse_every_half_a_heart_never() -> None:
    angles = np.array([0.1, 0.7, 2.0])
    here, quarter, half, turn = (masks(SCALES, angles + k * math.pi) for k in (0, 0.5, 1, 2))
    assert (here == turn).all()
    assert (here == quarter)[SQUARE].all()
    assert (here == half)[:HEART].all()
    assert (here != quarter)[ELLIPSE:].any((-2, -1)).all()
    assert (here != half)[HEART].any((-2, -1)).all()


def test_no_two_of_the_orientations_hide_behind_a_symmetry() -> None:
    apart = (ANGLES[:39, None] - ANGLES[None, :39])[~np.eye(39, dtype=bool)]
    for period in (math.pi / 2, math.pi):
        assert abs(apart - period * np.round(apart / period)).min() > 0.9 * period / 39


def test_angles_go_clockwise_from_a_lying_ellipse_and_an_upright_heart(sprites: NDArray[np.bool_]) -> None:
    y, x = np.mgrid[:64, :64]
    for orientation in range(40):
        angle = 2 * math.pi * orientation / 39
        on = sprites[ELLIPSE, 5, orientation]
        covariance = np.cov(x[on], y[on])
        axis = 0.5 * math.atan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])
        assert math.sin(axis - angle) == pytest.approx(0, abs=0.03)
        on = sprites[HEART, 5, orientation]
        right, down = x[on] - x[on].mean(), y[on] - y[on].mean()
        # At 0 the tip, which is the longer tail, points down; the two lobes balance each other.
        cos, sin = math.cos(angle), math.sin(angle)
        assert ((down * cos - right * sin) ** 3).mean() > 20
        assert abs(((right * cos + down * sin) ** 3).mean()) < 5


def test_the_pictures_never_change(sprites: NDArray[np.bool_]) -> None:
    """Results of different versions compare only if the data are the same to the pixel."""
    digest = hashlib.sha256(np.packbits(sprites).tobytes()).hexdigest()
    assert digest[:16] == "f1868ba2bdcec2b3"


def test_the_grid_is_drawn_the_same_twice(dataset: Dataset) -> None:
    assert (packed_grid().reshape(-1, 64, 8) == packed(dataset.train)).all()


def test_every_result_says_that_it_is_rendered(dataset: Dataset) -> None:
    for each in (dataset, dsprites_rendered(image_size=None, subset=5)):
        assert each.notes["rendered"].startswith("drawn by this program; not the published dSprites")
        assert "2π" in each.notes["orientation"]
        assert "training set" in each.notes["test"]


def test_a_subset_keeps_factors_and_images_together(dataset: Dataset) -> None:
    part = dsprites_rendered(image_size=None, subset=300)
    assert len(part.train) == len(part.test) == 300
    assert "300" in part.notes["subset"]
    assert part.train.factors is not None and part.train.labels is not None
    index = GRID.to_index(part.train.factors)
    assert len(index.unique()) == 300
    assert (packed(part.train) == packed(dataset.train)[index.numpy()]).all()
    assert set(part.train.labels.tolist()) == {0, 1, 2}


def test_the_images_have_one_size() -> None:
    assert dsprites_rendered(image_size=64, subset=1).input_shape == (1, 64, 64)
    expected = r"^image_size=32: dataset=dsprites_rendered has images of 64×64; expected 64 or null$"
    with pytest.raises(ConfigError, match=expected):
        dsprites_rendered(image_size=32, subset=1)


@pytest.mark.parametrize("subset", [0, -1, 737_281, 1.5, True, "all"])
def test_a_subset_is_a_number_of_images(subset: object) -> None:
    with pytest.raises(ConfigError, match=r"^dataset\.subset="):
        dsprites_rendered(image_size=None, subset=subset)  # type: ignore[arg-type]
