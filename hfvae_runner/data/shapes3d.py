"""3D Shapes: 480,000 colour pictures of an object in a room, one for each cell of a grid (Burgess and Kim 2018).

The file and its order are those of github.com/google-deepmind/3d-shapes; its checksum is the one that public loaders
(nmichlo/disent) compare.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._image_grid import converted_grid
from hfvae_runner.data._images import data_root, pixels
from hfvae_runner.data._published_arrays import channels_first, hdf5_pieces
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import DataError

GRID = Grid(("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"), (10, 10, 10, 8, 4, 15))
SHAPES = ("cube", "cylinder", "sphere", "capsule")

FILES = (
    RemoteFile(
        "3dshapes.h5",
        urls=("https://storage.googleapis.com/3d-shapes/3dshapes.h5",),
        md5="099a2078d58cec4daad0702c55d06868",
    ),
)
_SIDE = 64
# Rows that are converted at once, where the file's chunks do not ask for more.
_PIECE = 4096
_MOST_ROWS = 16_384


def shapes3d(*, root: str, image_size: int | None, download: bool, subset: int | None = None) -> Dataset:
    """Colour images [3, S, S] in the published order, read from the disk, with their factors; the shape is the label.

    Args:
        root: the folder that holds 3dshapes.h5, ``data_root``.
        image_size: S; None keeps 64.
        download: whether a missing file may be fetched.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the file is missing or is not what its publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", _SIDE if image_size is None else image_size, most=_SIDE)
    (file,) = ensure(folder, FILES, dataset="shapes3d", download=download)
    return converted_grid(
        folder,
        "shapes3d",
        [file],
        [len(GRID), side, 1],
        channels_first(file, _images(file), side),
        (3, side, side),
        GRID,
        subset,
        label="shape",
        label_names=SHAPES,
    )


def _images(file: Path) -> Iterator[np.ndarray]:
    """Yield images uint8 [n, 64, 64, 3], once the labels have proved to be the grid's."""
    _check_labels(file)
    yield from hdf5_pieces(file, "images", (len(GRID), _SIDE, _SIDE, 3), "u1", _rows(file))


def _rows(file: Path) -> int:
    """Return a number of rows that the file's chunks divide, so that HDF5 unpacks each chunk once."""
    with h5py.File(file, "r") as opened:
        chunks = getattr(opened["images"], "chunks", None)
    rows = chunks[0] if chunks else 1
    return _PIECE if rows > _MOST_ROWS else rows * max(1, _PIECE // rows)


def _check_labels(file: Path) -> None:
    """Compare the labels with the grid.

    They are real numbers, such as degrees. In the published order a factor's class is the rank of its value.
    """
    (labels,) = hdf5_pieces(file, "labels", (len(GRID), len(GRID.names)), "f8", len(GRID))
    if not np.isfinite(labels).all():
        raise DataError(f"{file}: labels holds NaN or infinity; expected finite numbers")
    classes = np.empty(labels.shape, np.int64)
    for k, (name, size) in enumerate(zip(GRID.names, GRID.sizes, strict=True)):
        values, classes[:, k] = np.unique(labels[:, k], return_inverse=True)
        if len(values) != size:
            raise DataError(f"{file}: labels has {len(values)} different values of {name}; expected {size}")
    expected = GRID.cells().numpy()
    wrong = (classes != expected).any(1)
    if wrong.any():
        i = int(wrong.argmax())
        raise DataError(
            f"{file}: example {i} has the labels {labels[i].tolist()}, the classes {classes[i].tolist()}; expected the "
            f"classes {expected[i].tolist()}, the last factor varying fastest"
        )
