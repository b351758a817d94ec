"""The cars' .mat files, on a few written here by SciPy."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from published import car, write_cars3d
from scipy.io import savemat

from hfvae_runner.data import Dataset
from hfvae_runner.data import cars3d as module
from hfvae_runner.data._dataset import resized
from hfvae_runner.data.cars3d import cars3d
from hfvae_runner.errors import ConfigError, DataError


def read(root: Path, *, image_size: int | None = None, subset: int | None = None) -> Dataset:
    return cars3d(root=str(root), image_size=image_size, download=False, subset=subset)


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "\n" not in message
    assert not list(root.glob("converted/*.npy"))
    return message


def test_the_published_grid() -> None:
    assert module.GRID.sizes == (183, 24, 4)
    assert module.GRID.names == ("object", "azimuth", "elevation")


def test_images_and_factors_as_published(shrunk: Path) -> None:
    write_cars3d(shrunk)
    dataset = read(shrunk)
    train = dataset.train
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((3, 64, 64), "unit_interval", module.GRID)
    assert train.factors is not None and len(train) == 2 * 24 * 4
    for i in (0, 1, 4, 95, 96, 191):
        number, azimuth, elevation = train.factors[i].tolist()
        picture = torch.from_numpy(car(number)[..., azimuth, elevation].transpose(2, 0, 1).copy())[None]
        assert torch.equal(train.x[torch.tensor([i])], resized(picture, 64))
    assert "the papers train on all images" in dataset.notes["test"]


def test_numbers_from_0_to_1_are_the_same_images(shrunk: Path, tmp_path: Path) -> None:
    write_cars3d(shrunk)
    write_cars3d(tmp_path / "floats", floats=True)
    everything = torch.arange(2 * 24 * 4)
    assert torch.equal(read(shrunk).train.x[everything], read(tmp_path / "floats").train.x[everything])


def test_another_size_and_a_subset(shrunk: Path) -> None:
    write_cars3d(shrunk)
    dataset = read(shrunk, image_size=128, subset=10)
    assert (dataset.input_shape, len(dataset.train)) == ((3, 128, 128), 10)
    assert dataset.train.factors is not None
    number, azimuth, elevation = dataset.train.factors[3].tolist()
    picture = car(number)[..., azimuth, elevation].transpose(2, 0, 1)
    assert np.array_equal(dataset.train.x[torch.tensor([3])][0].numpy(), picture)
    with pytest.raises(ConfigError, match="image_size=129: expected a whole number of pixels from 4 to 128"):
        read(shrunk, image_size=129)


def test_a_missing_folder_is_named(shrunk: Path) -> None:
    assert "cars is missing: run `python scripts/fetch_data.py cars3d" in refusal(shrunk)


def test_another_number_of_cars_is_refused(shrunk: Path) -> None:
    (write_cars3d(shrunk) / "car_002_mesh.mat").unlink()
    assert "cars holds 1 files *.mat; expected 2: remove it and fetch it again" in refusal(shrunk)


CHANGED: dict[str, tuple[Callable[[np.ndarray], dict[str, object]], str]] = {
    "no im": (lambda im: {"mask": im}, "has no variable im"),
    "small": (lambda im: {"im": im[::2]}, "im has the shape (64, 128, 3, 24, 4)"),
    "words": (lambda im: {"im": "a car"}, "im has the shape (1,)"),
    "structure": (lambda im: {"im": {"a": im[0]}}, "im has the shape (1, 1)"),
    "bright": (lambda im: {"im": im / 100}, "im has values from 0 to 2."),
    "nan": (lambda im: {"im": np.where(im == im[5, 5, 0, 0, 0], np.nan, im / 255)}, "im has values from nan to nan"),
    "int16": (lambda im: {"im": im.astype(np.int16)}, "im is int16"),
    "complex": (lambda im: {"im": im / 255 + 1j}, "im is complex128"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_content_is_named(case: str, shrunk: Path) -> None:
    change, found = CHANGED[case]
    file = write_cars3d(shrunk) / "car_002_mesh.mat"
    savemat(file, change(car(1)))
    message = refusal(shrunk)
    assert f"{file}" in message and found in message
    assert "expected bytes, or numbers from 0 to 1, of shape (128, 128, 3, 24, 4)" in message


@pytest.mark.parametrize("kept", [0, 100, 5000, -1])
def test_a_cut_off_file_is_named(kept: int, shrunk: Path) -> None:
    file = write_cars3d(shrunk) / "car_002_mesh.mat"
    file.write_bytes(file.read_bytes()[:kept])
    message = refusal(shrunk)
    assert f"{file} is malformed (" in message
    assert "expected a MATLAB file: remove the folder and fetch it again" in message


def test_a_file_of_a_later_matlab_is_named(shrunk: Path) -> None:
    file = write_cars3d(shrunk) / "car_002_mesh.mat"
    with h5py.File(file, "w", userblock_size=512) as opened:
        opened["im"] = car(1)[:2]
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with file.open("r+b") as stream:
        stream.write(header)
    assert f"{file} is malformed (" in refusal(shrunk)
