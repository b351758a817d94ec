"""The runs' own pictures, as material for a figure over many runs."""

import struct
import zlib
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray

from hfvae_runner.errors import DataError
from hfvae_runner.figures.density import PANEL, SIZE

_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_MOST = 6_000_000  # pixels; a run's own have one million
_TOLERANCE = 0.01


def aggregate_posterior(path: Path) -> NDArray[np.uint8]:
    """The panel [H, H, 3] of a run's ``aggregate_posterior.png``, without its axes, legend and colour scale.

    Raises:
        DataError: the file is missing or no such picture.
    """
    try:
        with path.open("rb") as stream:
            width, height = _size(stream.read(len(_START) + 8))
            stream.seek(0)
            picture = imread(stream, format="png")
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error) as error:
        raise DataError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    if picture.ndim != 3:
        raise DataError(f"{path.name} is grey; expected colours")
    left, bottom, across, up = PANEL
    side = min(round(across * width), round(up * height))
    x, y = round(left * width), round((1 - bottom - up) * height)
    return np.asarray(np.rint(255 * picture[y : y + side, x : x + side, :3]), dtype=np.uint8)


def _size(head: bytes) -> tuple[int, int]:
    """Width and height, from the file's first bytes, before anything is unpacked."""
    if not head.startswith(_START) or len(head) < len(_START) + 8:
        raise ValueError("it is no PNG")
    width, height = struct.unpack(">II", head[len(_START) :])
    expected = SIZE[0] / SIZE[1]
    if not 0 < width * height <= _MOST or abs(width / height / expected - 1) > _TOLERANCE:
        raise ValueError(f"{width} × {height} pixels; expected a figure of {SIZE[0]} × {SIZE[1]} inches")
    return width, height
