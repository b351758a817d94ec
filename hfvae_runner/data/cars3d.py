"""3D cars: 17,568 colour pictures, 183 cars from 24 azimuths and 4 elevations (Reed et al. 2015)."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, resized
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._image_grid import converted_grid
from hfvae_runner.data._images import data_root, files_in, pixels
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import DataError

GRID = Grid(("object", "azimuth", "elevation"), (183, 24, 4))

FILES = (
    RemoteFile(
        "cars",
        urls=("http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",),
        md5="4e866a7919c1beedf53964e6f7a23686",
        archive="nips2015-analogy-data.tar.gz",
        member="data/cars",
    ),
)
_IMAGES = (128, 128, 3, 24, 4)
_DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError, NotImplementedError),
    *(AssertionError, struct.error, zlib.error, MatReadError),
)


def cars3d(*, root: str, image_size: int | None, download: bool, subset: int | None = None) -> Dataset:
    """Colour images [3, S, S], resized with antialiasing; the elevation varies fastest.

    Args:
        root: the folder that holds cars/*.mat, ``data_root``.
        image_size: S; None makes it 64.
        download: whether missing files may be fetched.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the files are missing or are not what their publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", 64 if image_size is None else image_size, most=128)
    (cars,) = ensure(folder, FILES, dataset="cars3d", download=download)
    files = files_in(cars, ".mat", GRID.sizes[0])
    pieces = (resized(_read(file), side).numpy() for file in files)
    return converted_grid(folder, "cars3d", files, [side, 1], pieces, (3, side, side), GRID, subset)


def _read(file: Path) -> Tensor:
    """One car, uint8 [24·4, 3, 128, 128]."""
    expected = f"expected bytes, or numbers from 0 to 1, of shape {_IMAGES}: remove the folder and fetch it again"
    try:
        content = loadmat(file, variable_names=["im"])
    except _DAMAGE as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{file} is malformed ({what}); expected a MATLAB file: remove the folder and fetch it again"
        ) from None
    if "im" not in content:
        raise DataError(f"{file} has no variable im; {expected}")
    images = content["im"]
    if not isinstance(images, np.ndarray) or images.shape != _IMAGES:
        raise DataError(f"{file}: im has the shape {np.shape(images)}; {expected}")
    if images.dtype.kind == "f":
        if not ((images >= 0) & (images <= 1)).all():
            raise DataError(f"{file}: im has values from {images.min():g} to {images.max():g}; {expected}")
        images = np.rint(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise DataError(f"{file}: im is {images.dtype}; {expected}")
    ordered = np.ascontiguousarray(images.transpose(3, 4, 2, 0, 1))
    return torch.from_numpy(ordered).flatten(0, 1)
