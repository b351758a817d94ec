"""3D faces: 127,050 grey pictures rendered from a face model, one for each cell of a grid (Paysan et al. 2009)."""

import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from hfvae_runner.data._dataset import Dataset, Split, resized, without_split
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._images import data_root
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import DataError

GRID = Grid(("identity", "azimuth", "elevation", "lighting"), (50, 21, 11, 11), nuisance=("identity",))

FILES = (
    RemoteFile(
        "basel_face_renders.pth",
        ask="the licence of the Basel Face Model (https://faces.dmi.unibas.ch) forbids it; ask the authors of β-TCVAE "
        "(github.com/rtqichen/beta-tcvae) for their file",
    ),
)
_DAMAGE = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, AssertionError),
    *(struct.error, zipfile.BadZipFile),
)


def faces3d(*, root: str, image_size: int | None, subset: int | None = None) -> Dataset:
    """Grey images [1, S, S] in the order of their grid.

    Args:
        root: the folder that holds basel_face_renders.pth, ``data_root``.
        image_size: S; None keeps 64.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the file is missing or is not what its authors wrote.
    """
    (file,) = ensure(data_root(root), FILES, dataset="faces3d", download=False)
    images = _read(file).flatten(0, 3)[:, None]
    everything = Split(resized(images, image_size), factors=GRID.cells())
    return without_split(everything, "unit_interval", GRID, subset)


def _read(file: Path) -> Tensor:
    """[50, 21, 11, 11, 64, 64], on the disk until it is read where the file's format allows that."""
    expected = f"expected a uint8 tensor of shape {(*GRID.sizes, 64, 64)}, saved by torch"
    try:
        with warnings.catch_warnings(action="ignore"):
            found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError:
        raise DataError(f"{file} is no file of tensors alone, and other content is not run; {expected}") from None
    except _DAMAGE as error:
        what = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{file} is malformed ({what}); {expected}") from None
    if not isinstance(found, Tensor):
        raise DataError(f"{file} holds an object of the type {type(found).__name__}; {expected}")
    if found.dtype != torch.uint8 or found.layout != torch.strided or found.shape != (*GRID.sizes, 64, 64):
        raise DataError(
            f"{file} holds {str(found.dtype).removeprefix('torch.')} of shape {tuple(found.shape)}; {expected}"
        )
    return found.contiguous()
