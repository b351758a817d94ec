"""XYSquares against a plain drawing of it, and the property that it is known for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hfvae_runner.data.xysquares import xysquares
from hfvae_runner.errors import ConfigError
from hfvae_runner.launch import main


def test_the_published_grid() -> None:
    dataset = xysquares()
    train = dataset.train
    assert train.x.shape == (262_144, 3, 64, 64)
    assert dataset.factors is not None and train.factors is not None
    assert dataset.factors.names == ("x_red", "y_red", "x_green", "y_green", "x_blue", "y_blue")
    assert dataset.factors.sizes == (8,) * 6
    assert train.factors[1].tolist() == [0, 0, 0, 0, 0, 1]
    assert (dataset.values, train.labels) == ("unit_interval", None)


@pytest.mark.parametrize(
    ("spacing", "square", "places", "squares"), [(8, 8, 8, 3), (3, 8, 8, 3), (7, 5, 5, 2), (1, 8, 57, 1)]
)
def test_every_image_is_the_squares_of_its_factors(spacing: int, square: int, places: int, squares: int) -> None:
    train = xysquares(spacing=spacing, square=square, places=places, squares=squares).train
    assert train.factors is not None
    index = torch.randint(len(train), (50,), generator=torch.Generator().manual_seed(0))
    offset = (64 - (spacing * (places - 1) + square)) // 2
    for image, factors in zip(train.x[index].numpy(), train.factors[index].tolist(), strict=True):
        expected = np.zeros((3, 64, 64), np.uint8)
        for colour in range(squares):
            x, y = (offset + spacing * each for each in factors[2 * colour : 2 * colour + 2])
            expected[colour, y : y + square, x : x + square] = 255
        assert np.array_equal(image, expected)


def red_distances(spacing: int) -> torch.Tensor:
    """How many pixels differ between each two places of the red square, [64, 64]."""
    train = xysquares(spacing=spacing, squares=1).train
    images = train.x[torch.arange(64)].flatten(1).float() / 255
    return torch.cdist(images, images, p=1)


def test_at_spacing_8_any_two_places_are_equally_far_apart() -> None:
    apart = red_distances(8)[~torch.eye(64, dtype=torch.bool)]
    assert apart.unique().tolist() == [128]


def test_at_a_smaller_spacing_neighbours_are_nearer() -> None:
    distances = red_distances(4)
    assert distances[0, 1] < distances[0, 2] == 128
    assert distances[0, 9] == 2 * (64 - 16)


def test_images_that_differ_in_k_squares_are_equally_far_apart() -> None:
    dataset = xysquares()
    factors = torch.randint(8, (40, 6), generator=torch.Generator().manual_seed(1))
    assert dataset.factors is not None
    index = (factors * 8 ** torch.arange(5, -1, -1)).sum(1)
    images = dataset.train.x[index].flatten(1).float() / 255
    differing = (factors[:, None] != factors[None]).unflatten(2, (3, 2)).any(3).sum(2)
    assert torch.equal(torch.cdist(images, images, p=1), 128.0 * differing)


def test_a_subset_is_drawn_alike() -> None:
    dataset = xysquares(subset=30)
    train = dataset.train
    assert train.factors is not None and len(dataset.test) == 30
    index = (train.factors.long() * 8 ** torch.arange(5, -1, -1)).sum(1)
    assert torch.equal(train.x[torch.arange(30)], xysquares().train.x[index])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": 9}, "dataset.places=8: squares of 8 pixels at a spacing of 9 .* expected at most 7, or a smaller"),
        ({"spacing": 0}, "dataset.spacing=0: expected a whole number from 1 to 64"),
        ({"places": 13, "spacing": 4}, "3 squares would have 4,826,809 cells; expected at most 4,194,304"),
        ({"squares": 0}, "dataset.squares=0: expected a whole number from 1 to 3"),
        ({"places": 1}, "dataset.places=1: expected a whole number from 2 to 64"),
        ({"image_size": 32}, "image_size=32: dataset=xysquares has images of 64×64; expected 64 or null"),
        ({"subset": 262_145}, "dataset.subset=262145: expected"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        xysquares(**options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_whole_run(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("dataset.subset=300", "dataset.holdout={factor: x_red, equals: 0}")
    sampling = "dataset.sampling={preset: D, factors: [x_green, y_green]}"
    settings = ("steps=2", "batch_size=16", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    assert main(["dataset=xysquares", "objective=beta_vae", *options, sampling, *settings]) == 0, (
        capsys.readouterr().err
    )
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["run"]["model"] == "conv_standard64"
    assert metrics["holdout"]["examples"] > 10
    assert Path("run/figures/reconstructions.png").is_file()
