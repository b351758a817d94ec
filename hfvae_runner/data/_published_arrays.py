"""Reads the arrays of published ``.npz`` and HDF5 files in pieces, without unpacking a whole one.

Shapes: N examples; n of them; * the shape of one.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch

from hfvae_runner.data import _hdf5
from hfvae_runner.data._dataset import resized
from hfvae_runner.errors import DataError

DAMAGE = (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises, beside DataError."""


def npz_pieces(file: Path, key: str, shape: tuple[int, ...], dtype: str, rows: int) -> Iterator[np.ndarray]:
    """Yield an array of a ``.npz`` file, [n, *] at a time; nothing in it is unpickled.

    Args:
        file: the file.
        key: the array's name.
        shape: (N, *), which it must have.
        dtype: its type.
        rows: the largest n.

    Raises:
        DataError: it is another array.
        Exception: one of ``DAMAGE``.
    """
    with zipfile.ZipFile(file) as archive, archive.open(f"{key}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found_shape, fortran_order, found = read_header(stream)
        _expect(file, key, shape, dtype, found_shape, found)
        if fortran_order:
            raise DataError(f"{file}: {key} is stored column by column; expected row by row")
        row = int(np.prod(shape[1:])) * found.itemsize
        for start in range(0, shape[0], rows):
            count = min(rows, shape[0] - start)
            yield np.frombuffer(stream.read(count * row), found).reshape(count, *shape[1:])
        # Reading past the end has the archive compare its checksum.
        if stream.read(1):
            raise DataError(f"{file}: {key} has more bytes than {shape[0]} examples")


def hdf5_pieces(file: Path, key: str, shape: tuple[int, ...], dtype: str, rows: int) -> Iterator[np.ndarray]:
    """Yield an array of an HDF5 file, [n, *] at a time.

    Args:
        file: the file.
        key: the array's name.
        shape: (N, *), which it must have.
        dtype: its type.
        rows: the largest n. Of a number that the file's chunks divide, HDF5 unpacks each chunk once.

    Raises:
        DataError: it is another array, or is not stored in the file.
        Exception: one of ``DAMAGE``.
    """
    with h5py.File(file, "r") as opened:
        array = _hdf5.stored_array(opened, key)
        _expect(file, key, shape, dtype, array.shape, array.dtype)
        yield from _hdf5.pieces(array, rows)


def channels_first(file: Path, pieces: Iterable[np.ndarray], side: int) -> Iterator[np.ndarray]:
    """Yield the pieces of an array of colour images, uint8 [n, H, W, 3], as [n, 3, S, S].

    Args:
        file: where they are from.
        pieces: of ``npz_pieces`` or ``hdf5_pieces``.
        side: S.

    Raises:
        DataError: the file is damaged or holds another array.
    """
    try:
        for images in pieces:
            yield resized(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), side).numpy()
    except DAMAGE as error:
        what = " ".join(str(error).split())
        raise DataError(f"{file} is malformed ({what}); expected {file.name} as published: fetch it again") from None


def _expect(file: Path, key: str, shape: tuple[int, ...], dtype: str, found_shape: object, found: np.dtype) -> None:
    if found_shape != shape or found != np.dtype(dtype):
        expected = f"{np.dtype(dtype)} of shape {shape}"
        raise DataError(f"{file}: {key} is {found} of shape {found_shape}; expected {expected}")
