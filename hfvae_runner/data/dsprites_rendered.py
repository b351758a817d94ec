"""A stand-in for dSprites: all 737,280 cells of its grid, drawn on the spot; not the published pictures."""

from dataclasses import replace

import torch

from hfvae_runner.data._dataset import Dataset, Split, without_split
from hfvae_runner.data._examples import PackedBits
from hfvae_runner.data._render import SHAPES, SIZE, packed_grid
from hfvae_runner.data._variants import VERSIONS, Variant, varied
from hfvae_runner.data.dsprites import GRID
from hfvae_runner.errors import ConfigError

__all__ = ["NOTES", "VERSIONS", "dsprites_rendered"]

NOTES = {
    "rendered": "drawn by this program; not the published dSprites, whose grid it has",
    "orientation": "the first and the last of the 40 orientations are 0 and 2π, the same picture, as in dSprites; "
    "a square repeats itself every 90°, an ellipse every 180°",
}


def dsprites_rendered(
    *,
    image_size: int | None,
    subset: int | None = None,
    variant: Variant | None = None,
    root: str | None = None,
    download: bool = True,
) -> Dataset:
    """Binary images [1, 64, 64] in the published order, packed (377 MB), with their factors; the shape is the label.

    With dSprites it shares the factors, their numbers of values, their order and (within 1 %) how many pixels are on,
    0.0425 of all; the shapes' proportions and the places of their middles, 16 to 47 of 0 to 63 pixels, are ours. Images
    of a variant are [3, 64, 64], drawn on request.

    Args:
        image_size: 64, or None.
        subset: how many random images to keep; None keeps all.
        variant: ``colour`` (a sprite in a random colour), ``noisy`` (on random noise) or ``scream`` (on a part of an
            image); None for plain sprites.
        root: the folder that holds scream/scream.jpg, ``data_root``; the rest needs no files.
        download: whether scream/scream.jpg may be fetched if it is missing.

    Raises:
        ConfigError: an option is out of range.
        DataError: the image of the variant ``scream`` is missing or cannot be used.
    """
    if image_size not in (None, SIZE):
        raise ConfigError(
            f"image_size={image_size!r}: dataset=dsprites_rendered has images of 64×64; expected 64 or null"
        )
    sprites = PackedBits(torch.from_numpy(packed_grid()), (1, SIZE, SIZE))
    images, notes, digest = varied(sprites, variant, root=root, dataset="dsprites_rendered", download=download)
    factors = GRID.cells()
    everything = Split(images, labels=factors[:, 0].long(), factors=factors)
    whole = without_split(everything, "unit_interval", GRID, subset, {**NOTES, **notes}, label_names=tuple(SHAPES))
    return replace(whole, digest=digest)
