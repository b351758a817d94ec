"""3D chairs: 86,366 pictures, 1,393 chairs from 2 elevations and 31 azimuths (Aubry et al. 2014)."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._image_grid import converted_grid
from hfvae_runner.data._images import data_root, in_batches, pixels, read_image
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError, DataError

GRID = Grid(("chair", "elevation", "azimuth"), (1393, 2, 31), nuisance=("chair",))

FILES = (
    RemoteFile(
        "rendered_chairs",
        urls=("https://www.di.ens.fr/willow/research/seeing3Dchairs/data/rendered_chairs.tar",),
        archive="rendered_chairs.tar",
        member="rendered_chairs",
    ),
)
_SIZE = (600, 600)
_FILE_NAME = re.compile(r"image_\d{3}_p(\d{3})_t(\d{3})_r\d{3}\.png")


def chairs(
    *, root: str, image_size: int | None, colour: bool, crop: int, download: bool, subset: int | None = None
) -> Dataset:
    """Images [1, S, S] or [3, S, S], cut out and resized with antialiasing; the azimuth varies fastest.

    Args:
        root: the folder that holds rendered_chairs/ID/renders/*.png, ``data_root``.
        image_size: S; None makes it 64.
        colour: three channels, else one, grey.
        crop: side length in pixels of the square in the middle that is kept of the 600×600.
        download: whether missing files may be fetched.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the files are missing or are not what their publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", 64 if image_size is None else image_size, most=_SIZE[0])
    pixels("dataset.crop", crop, most=_SIZE[0])
    if not isinstance(colour, bool):
        raise ConfigError(f"dataset.colour={colour!r}: expected true or false")
    (renders,) = ensure(folder, FILES, dataset="chairs", download=download)
    files = _in_order(renders)
    read = partial(read_image, kind="PNG", size=_SIZE, crop=crop, side=side, colour=colour)
    key, shape = [side, crop, colour, 1], (3 if colour else 1, side, side)
    return converted_grid(folder, "chairs", files, key, in_batches(files, read), shape, GRID, subset)


def _in_order(renders: Path) -> list[Path]:
    """Return every image's file, in the order of the grid."""
    found = sorted(chair for chair in renders.iterdir() if (chair / "renders").is_dir())
    if len(found) != GRID.sizes[0]:
        expected = f"expected {GRID.sizes[0]}: remove it and fetch it again"
        raise DataError(f"{renders} holds {len(found)} folders ID/renders; {expected}")
    views = [_views(chair / "renders") for chair in found]
    first = sorted(views[0])
    for chair, of_chair in zip(found, views, strict=True):
        if other := sorted(of_chair.keys() ^ set(first)):
            raise DataError(
                f"{chair / 'renders'} and that of {found[0].name} have not both elevation {other[0][0]}, azimuth "
                f"{other[0][1]}; expected the same views of every chair: remove {renders} and fetch it again"
            )
    return [of_chair[view] for of_chair in views for view in first]


def _views(folder: Path) -> Mapping[tuple[int, int], Path]:
    """Return a chair's files by elevation and azimuth, in degrees."""
    files = list(folder.glob("*.png"))
    views = {}
    for file in files:
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise DataError(f"{file}: expected a name such as image_001_p020_t011_r096.png")
        views[int(match[1]), int(match[2])] = file
    sizes = tuple(len({view[k] for view in views}) for k in (0, 1))
    if sizes != GRID.sizes[1:] or len(views) != len(files) or len(files) != sizes[0] * sizes[1]:
        raise DataError(
            f"{folder} holds {len(files)} images of {sizes[0]} elevations and {sizes[1]} azimuths; expected one of "
            f"each of {GRID.sizes[1]} × {GRID.sizes[2]}: remove the chair's folder and fetch the set again"
        )
    return views
