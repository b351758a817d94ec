"""Data sets of images, one for each cell of a grid of factors, converted once from published files."""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, Split, without_split
from hfvae_runner.data._images import on_disk, save_array
from hfvae_runner.data.factors import Grid


def converted_grid(
    root: Path,
    name: str,
    files: Sequence[Path],
    key: Sequence[object],
    pieces: Iterable[np.ndarray],
    image_shape: tuple[int, int, int],
    grid: Grid,
    n: int | None,
    *,
    label: str | None = None,
    label_names: tuple[str, ...] | None = None,
) -> Dataset:
    """Return the data set of the grid's images, read from the converted copy, which is written if there is none.

    Args:
        root: ``data_root``.
        name: the data set's.
        files: the published files.
        key: what else shapes the converted copy, as in ``cached``.
        pieces: uint8 images [n, *image_shape] in the grid's order, read only if the copy has to be written.
        image_shape: (C, S, S).
        grid: whose cells the images are.
        n: ``dataset.subset``.
        label: the factor that is the label; None for no labels.
        label_names: one name a class.

    Raises:
        ConfigError: n is not a number of examples.
        DataError: the copy cannot be written or read, or what ``pieces`` raises.
    """
    shape = (len(grid), *image_shape)
    build = partial(save_array, shape=shape, pieces=pieces)
    path = cached(root, f"{name}.npy", [checksum(root, files), *key], build, size=math.prod(shape))
    factors = grid.cells()
    labels = None if label is None else factors[:, grid.names.index(label)].long()
    everything = Split(on_disk(path, shape), labels=labels, factors=factors)
    return without_split(everything, "unit_interval", grid, n, label_names=label_names)
