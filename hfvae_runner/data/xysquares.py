"""XYSquares: images of a red, a green and a blue square, one for each cell of a grid of places, drawn on request.

At a spacing of at least the squares' side, no two places of a square share a pixel. All images that differ in k
squares are then equally far apart in pixels, so a loss that compares pixels cannot order the places of a square.

Michlo et al. 2022, "Data Overlap: A Prerequisite For Disentanglement"; the placement is that of the authors'
``XYSquaresData`` (github.com/nmichlo/disent).

Shapes: N examples; B chosen ones; Q squares.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic import Strict
from torch import Tensor
from torch.nn.functional import pad

from hfvae_runner.config.validation import WHOLE, Count, holding
from hfvae_runner.data._dataset import Dataset, Split, without_split
from hfvae_runner.data._examples import Drawn
from hfvae_runner.data.factors import Grid
from hfvae_runner.errors import ConfigError

SIDE = 64
COLOURS = ("red", "green", "blue")
# The factors of every cell are in memory; a lookup of 4 million needs about 0.5 GB at its peak.
_MOST_CELLS = 2**22

_Pixels = Annotated[int, Strict(), Ge(1), Le(SIDE), WHOLE]
_Places = Annotated[int, Strict(), Ge(2), Le(SIDE), WHOLE]
_Squares = Annotated[int, Strict(), Ge(1), Le(len(COLOURS)), WHOLE]


@holding("dataset")
def xysquares(
    *,
    spacing: _Pixels = 8,
    square: _Pixels = 8,
    places: _Places = 8,
    squares: _Squares = 3,
    image_size: Count | None = None,
    subset: Count | None = None,
) -> Dataset:
    """Colour images [3, 64, 64] of 0 and 255, a square a channel, with the places x and y of each square as factors.

    The places are a grid in the middle of the image. y grows downwards and varies fastest, red varies slowest. Channels
    without a square are black.

    Args:
        spacing: pixels from a place of a square to the next; from ``square`` on the places do not overlap.
        square: side length of a square in pixels.
        places: how many places a square has along either axis.
        squares: how many squares there are: red, red and green, or all three.
        image_size: 64, or None.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range, the places do not fit into the image, or there are too many cells.
    """
    if image_size not in (None, SIDE):
        raise ConfigError(f"image_size={image_size!r}: dataset=xysquares has images of 64×64; expected 64 or null")
    extent = spacing * (places - 1) + square
    if extent > SIDE:
        fitting = (SIDE - square) // spacing + 1
        raise ConfigError(
            f"dataset.places={places}: squares of {square} pixels at a spacing of {spacing} would take {extent} of "
            f"{SIDE} pixels; expected at most {fitting}, or a smaller dataset.spacing"
        )
    if places ** (2 * squares) > _MOST_CELLS:
        raise ConfigError(
            f"dataset.places={places}: {squares} squares would have {places ** (2 * squares):,} cells; expected at "
            f"most {_MOST_CELLS:,}, or fewer dataset.squares"
        )
    names = tuple(f"{axis}_{colour}" for colour in COLOURS[:squares] for axis in "xy")
    grid = Grid(names, (places,) * len(names))
    factors = grid.cells()
    # Six bytes an image, which would itself have 12,288.
    corners = ((SIDE - extent) // 2 + spacing * factors).to(torch.uint8).unflatten(1, (squares, 2))
    images = Drawn(_drawn, (len(COLOURS), SIDE, SIDE), [corners], [torch.tensor(square, dtype=torch.uint8)])
    return without_split(Split(images, factors=factors), "unit_interval", grid, subset)


def _drawn(corners: Tensor, square: Tensor) -> Tensor:
    """Draw squares whose upper left pixels are given.

    Args:
        corners: uint8 [B, Q, 2], x and y of each square's upper left pixel.
        square: uint8 [], side length in pixels.

    Returns:
        Images, uint8 [B, 3, 64, 64].
    """
    pixels = torch.arange(SIDE, dtype=torch.uint8, device=corners.device)
    # [B, Q, 2, 64]; bytes wrap around, so that pixels before the corner are far behind it.
    within = ((pixels - corners[..., None]) < square).to(torch.uint8) * 255
    x, y = within.unbind(2)
    drawn = y[..., :, None] & x[..., None, :]
    return pad(drawn, (0, 0, 0, 0, 0, len(COLOURS) - corners.shape[1]))
