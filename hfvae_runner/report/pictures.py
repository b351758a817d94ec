"""Reads the runs' own pictures, for thumbnails and for a figure over many runs."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hfvae_runner.errors import DataError
from hfvae_runner.figures.density import PANEL, SIZE

_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_MOST = 6_000_000  # pixels of an aggregate posterior; a run's own have one million
_MOST_OF_ANY = 40_000_000  # pixels of other figures, which grow with the number of latent variables
_TOLERANCE = 0.01
_QUALITY = 80
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
"""Errors that Pillow raises for damaged files."""


def thumbnail(path: Path, side: int) -> tuple[bytes, int, int]:
    """Return a picture as a JPEG with its width and height in pixels, at most ``side`` wide and twice that high.

    Raises:
        DataError: the file is missing, is not a PNG, or is too large to be unpacked.
    """
    picture = _read(path, _MOST_OF_ANY)
    small = picture.convert("RGB")
    small.thumbnail((side, 2 * side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue(), *small.size


def aggregate_posterior(path: Path) -> NDArray[np.uint8]:
    """Return the panel [H, H, 3] of a run's ``aggregate_posterior.png``, without axes, legend and colour scale.

    Raises:
        DataError: the file is missing, or is not such a picture.
    """
    picture = _read(path, _MOST, SIZE[0] / SIZE[1])
    if picture.mode not in ("RGB", "RGBA", "P"):
        raise DataError(f"{path.name} is grey; expected colours")
    width, height = picture.size
    left, bottom, across, up = PANEL
    side = min(round(across * width), round(up * height))
    x, y = round(left * width), round((1 - bottom - up) * height)
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)[y : y + side, x : x + side]


def whole(path: Path) -> NDArray[np.uint8]:
    """Return a run's figure as bytes, [H, W, 3].

    Raises:
        DataError: the file is missing, is not a PNG, or is too large to be unpacked.
    """
    return np.asarray(_read(path, _MOST_OF_ANY).convert("RGB"), dtype=np.uint8)


def _read(path: Path, most: int, shape: float | None = None) -> Image.Image:
    """Unpack a picture of at most ``most`` pixels, whose width over height must be ``shape`` if given."""
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        with path.open("rb") as stream:
            _check_size(stream.read(len(_START) + 8), most, shape)
            stream.seek(0)
            with Image.open(stream, formats=["PNG"]) as picture:
                picture.load()
                return picture
    except _BROKEN as error:
        raise DataError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error


def _check_size(head: bytes, most: int, shape: float | None) -> None:
    """Raise an error, before anything is unpacked, if the file's first bytes give too large a size or another shape."""
    if not head.startswith(_START) or len(head) < len(_START) + 8:
        raise ValueError("it is no PNG")
    width, height = struct.unpack(">II", head[len(_START) :])
    if not 0 < width * height <= most:
        raise ValueError(f"{width} × {height} pixels; expected at most {most} in all")
    if shape is not None and abs(width / height / shape - 1) > _TOLERANCE:
        raise ValueError(f"{width} × {height} pixels; expected a figure of {SIZE[0]} × {SIZE[1]} inches")
