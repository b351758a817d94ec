"""Reads untrusted image files within limits, and writes and reads large arrays of images in pieces.

Shapes: n images; C channels; S side length in pixels.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from hfvae_runner.data._examples import ArrayFile, Rows
from hfvae_runner.errors import ConfigError, DataError

_BATCH = 512
# What Pillow's PNG and JPEG readers raise for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def data_root(root: object) -> Path:
    """Return the folder that ``data_root`` names.

    Raises:
        ConfigError: it is not a name.
    """
    if not isinstance(root, str):
        raise ConfigError(f"dataset.root={root!r}: expected the name of a folder")
    return Path(root)


def pixels(key: str, value: object, most: int, least: int = 4) -> int:
    """Return a number of pixels that an option gives.

    Raises:
        ConfigError: it is not a whole number in the range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{key}={value!r}: expected a whole number of pixels from {least} to {most}")
    return value


def files_in(folder: Path, ending: str, count: int) -> list[Path]:
    """Return a folder's files with this ending (``.mat``), sorted by name.

    Raises:
        DataError: there are more or fewer than ``count``.
    """
    # By text: comparing paths takes seconds for some hundred thousand.
    files = sorted(folder.glob(f"*{ending}"), key=str)
    if len(files) != count:
        raise DataError(f"{folder} holds {len(files)} files *{ending}; expected {count}: remove it and fetch it again")
    return files


def read_image(file: Path, kind: str, size: tuple[int, int], *, crop: int, side: int, colour: bool) -> np.ndarray:
    """Return the square in the middle of an image, bilinear with antialiasing, uint8 [C, S, S]; C is 3, or 1 for grey.

    Args:
        file: a file of this kind.
        kind: ``PNG`` or ``JPEG``.
        size: (width, height) that it must have.
        crop: side length of the square.
        side: S.
        colour: else grey.

    Raises:
        DataError: the file is not such an image.
    """
    expected = f"expected a {kind} image of {size[0]}×{size[1]} pixels: remove the folder and fetch it again"
    left, top = ((extent - crop) // 2 for extent in size)
    try:
        with Image.open(file, formats=(kind,)) as image:
            if image.size != size:
                raise DataError(f"{file} has {image.size[0]}×{image.size[1]} pixels; {expected}")
            square = image.crop((left, top, left + crop, top + crop)).convert("RGB" if colour else "L")
    except DAMAGE as error:
        raise DataError(f"{file} is malformed ({' '.join(str(error).split())}); {expected}") from None
    values = np.asarray(square.resize((side, side), Image.Resampling.BILINEAR))
    return values.transpose(2, 0, 1) if colour else values[None]


def in_batches(files: Sequence[Path], read: Callable[[Path], np.ndarray]) -> Iterator[np.ndarray]:
    """Apply ``read`` to each file, some hundred at a time, on all processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), _BATCH):
            yield np.stack(list(pool.map(read, files[start : start + _BATCH])))


def save_array(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray], dtype: DTypeLike = np.uint8) -> None:
    """Write pieces [n, *] of an array, of bytes unless ``dtype`` says otherwise, in the format of ``numpy.save``."""
    kind = np.lib.format.dtype_to_descr(np.dtype(dtype))
    with path.open("wb") as stream, tqdm(total=shape[0], desc="converting", disable=None, leave=False) as bar:
        np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
        for piece in pieces:
            stream.write(np.ascontiguousarray(piece, dtype=dtype).data)
            bar.update(len(piece))


def mapped(path: Path, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> Tensor:
    """Map an array from the disk, of bytes unless ``dtype`` says otherwise.

    Raises:
        DataError: the file does not hold one of this shape.
    """
    return torch.from_numpy(_opened(path, shape, dtype))


def on_disk(path: Path, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> Rows:
    """Return an array's rows, of bytes unless ``dtype`` says otherwise, which are read when they are chosen.

    Raises:
        DataError: the file does not hold an array of this shape.
    """
    array = _opened(path, shape, dtype)
    tensor = torch.from_numpy(array)
    # Windows cannot read at an offset; there, the rows are those of a memory map.
    return Rows(ArrayFile(path, array.offset, shape, tensor.dtype) if hasattr(os, "preadv") else tensor)


def _opened(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    kind = "bytes" if dtype == np.uint8 else np.dtype(dtype)
    expected = f"expected {kind} of shape {shape}: remove it, it will be made again"
    try:
        # Mapped for changes that are not written back: torch has no tensors that cannot be written to.
        array: np.memmap = np.load(path, mmap_mode="c", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is malformed ({error}); {expected}") from None
    if array.shape != shape or array.dtype != dtype:
        raise DataError(f"{path} holds {array.dtype} of shape {array.shape}; {expected}")
    return array
