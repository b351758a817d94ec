"""A stand-in for dSprites: all 737,280 cells of its grid, drawn on the spot; not the published pictures."""

import torch

from hfvae_runner.data._dataset import Dataset, Split, without_split
from hfvae_runner.data._examples import PackedBits
from hfvae_runner.data._render import SHAPES, SIZE, packed_grid
from hfvae_runner.data.dsprites import GRID
from hfvae_runner.errors import ConfigError

NOTES = {
    "rendered": "drawn by this program; not the published dSprites, whose grid it has",
    "orientation": "the first and the last of the 40 orientations are 0 and 2π, the same picture, as in dSprites; "
    "a square repeats itself every 90°, an ellipse every 180°",
}


def dsprites_rendered(*, image_size: int | None, subset: int | None = None) -> Dataset:
    """Binary images [1, 64, 64] in the published order, packed (377 MB), with their factors; the shape is the label.

    With dSprites it shares the factors, their numbers of values, their order and (within 1 %) how many pixels are on,
    0.0425 of all; the shapes' proportions and the places of their middles, 16 to 47 of 0 to 63 pixels, are ours.

    Args:
        image_size: 64, or None.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
    """
    if image_size not in (None, SIZE):
        raise ConfigError(
            f"image_size={image_size!r}: dataset=dsprites_rendered has binary images of 64×64; expected 64 or null"
        )
    images = PackedBits(torch.from_numpy(packed_grid()), (1, SIZE, SIZE))
    factors = GRID.cells()
    everything = Split(images, labels=factors[:, 0].long(), factors=factors)
    return without_split(everything, "unit_interval", GRID, subset, NOTES, label_names=tuple(SHAPES))
