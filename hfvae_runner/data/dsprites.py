"""dSprites: 737,280 binary pictures of a square, an ellipse or a heart, one for each cell of a grid; variants."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, Split, without_split
from hfvae_runner.data._examples import PackedBits
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._images import data_root, mapped, save_array
from hfvae_runner.data._places import places
from hfvae_runner.data._published_arrays import DAMAGE, hdf5_pieces, npz_pieces
from hfvae_runner.data._variants import VERSIONS, Variant, varied
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError, DataError

__all__ = ["FILES", "GRID", "SHAPES", "VERSIONS", "dsprites"]

GRID = Grid(("shape", "scale", "orientation", "x", "y"), (3, 6, 40, 32, 32), nuisance=("shape",))
SHAPES = ("square", "ellipse", "heart")

_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64"
# The checksum that TensorFlow Datasets has for the publisher's file.
FILES = (
    RemoteFile(
        f"{_NAME}.hdf5",
        urls=(f"https://github.com/google-deepmind/dsprites-dataset/raw/master/{_NAME}.hdf5",),
        sha256="729fa22e884c9c500e1f17415d580746b4c5894fbbb780a1319bbcfa39a745bb",
    ),
)
_SIDE = 64
_BYTES = _SIDE * _SIDE // 8
# What the .hdf5 file keeps together: any other number would decompress its chunks several times.
_PIECE = 23_040


def dsprites(
    *, root: str, image_size: int | None, download: bool, subset: int | None = None, variant: Variant | None = None
) -> Dataset:
    """Binary images [1, 64, 64] in the published order, packed, with their factors; the shape is the label.

    Colour, which has one value, is not among the factors. Images of a variant are [3, 64, 64], drawn on request.

    Args:
        root: the folder that holds the published .npz or .hdf5 file, and scream/scream.jpg, ``data_root``.
        image_size: 64, or None.
        download: whether a missing file may be fetched.
        variant: ``colour`` (a sprite in a random colour), ``noisy`` (on random noise) or ``scream`` (on a part of an
            image); None for the published images.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the file is missing or is not what its publisher wrote.
    """
    if image_size not in (None, _SIDE):
        raise ConfigError(f"image_size={image_size!r}: dataset=dsprites has images of 64×64; expected 64 or null")
    folder = data_root(root)
    file = _found(folder, download)
    key = [checksum(folder, [file]), len(GRID), 1]
    path = cached(folder, "dsprites.npy", key, partial(_convert, file), size=len(GRID) * _BYTES)
    factors = GRID.cells()
    sprites = PackedBits(mapped(path, (len(GRID), _BYTES)), (1, _SIDE, _SIDE))
    images, notes, digest = varied(sprites, variant, root=root, dataset="dsprites", download=download)
    everything = Split(images, labels=factors[:, 0].long(), factors=factors)
    return replace(without_split(everything, "unit_interval", GRID, subset, notes, label_names=SHAPES), digest=digest)


def _found(root: Path, download: bool) -> Path:
    """Return the .npz file where there is one, else the .hdf5 file."""
    given = [place / f"{_NAME}.npz" for place in places(root) if (place / f"{_NAME}.npz").is_file()]
    return given[0] if given else ensure(root, FILES, dataset="dsprites", download=download)[0]


def _convert(file: Path, path: Path) -> None:
    """Writes the images as bits, [N, 512]."""
    save_array(path, (len(GRID), _BYTES), _packed(file))


def _packed(file: Path) -> Iterator[np.ndarray]:
    """Pieces of uint8 [n, 512], while the file proves to be dSprites in its published order.

    The entry ``metadata``, which holds Python objects, is never read.
    """
    n = len(GRID)
    pieces, key = (npz_pieces, "latents_classes") if file.suffix == ".npz" else (hdf5_pieces, "latents/classes")
    start = 0
    try:
        for images, classes in zip(
            pieces(file, "imgs", (n, _SIDE, _SIDE), "u1", _PIECE), pieces(file, key, (n, 6), "i8", _PIECE), strict=True
        ):
            _check(file, start, images, classes)
            yield np.packbits(images.reshape(len(images), -1), axis=1)
            start += len(images)
    except DAMAGE as error:
        what = " ".join(str(error).split())
        raise DataError(f"{file} is malformed ({what}); expected dSprites as published: fetch it again") from None


def _check(file: Path, start: int, images: np.ndarray, classes: np.ndarray) -> None:
    """Examples ``start`` and on have two values, and are the grid's cells in order."""
    if images.max() > 1:
        raise DataError(f"{file}: imgs holds the value {images.max()}; expected 0 and 1")
    expected = GRID.to_factors(torch.arange(start, start + len(images))).numpy()
    wrong = (classes[:, 1:] != expected).any(1) | (classes[:, 0] != 0)
    if wrong.any():
        i = int(wrong.argmax())
        raise DataError(
            f"{file}: example {start + i} has the latent classes {classes[i].tolist()}; expected "
            f"{[0, *expected[i].tolist()]}, the last factor varying fastest"
        )
