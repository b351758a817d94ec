"""MPI3D: 1,036,800 colour pictures of a robot arm with an object, one for each cell of a grid (Gondal et al. 2019).

The files, their order and the names of the factors are those of github.com/rr-learning/disentanglement_dataset; the
checksums are the ones that public loaders (nmichlo/disent) compare.
"""

from collections.abc import Mapping
from typing import Literal

from hfvae_runner.config.validation import Count, Flag, Text, holding
from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._image_grid import converted_grid
from hfvae_runner.data._images import data_root, pixels
from hfvae_runner.data._published_arrays import channels_first, npz_pieces
from hfvae_runner.data.factors import Grid

Version = Literal["toy", "realistic", "real"]

GRID = Grid(
    (
        *("object_color", "object_shape", "object_size", "camera_height", "background_color"),
        *("horizontal_axis", "vertical_axis"),
    ),
    (6, 6, 2, 3, 3, 40, 40),
)
SHAPES = ("cone", "cube", "cylinder", "hexagonal", "pyramid", "sphere")

_MD5: Mapping[Version, str] = {
    "toy": "55889cb7c7dfc655d6e0277beee88868",
    "realistic": "59a6225b88b635365f70c91b3e52f70f",
    "real": "0f33f609918fb5c97996692f91129802",
}
VERSIONS: Mapping[str, RemoteFile] = {
    version: RemoteFile(
        f"mpi3d_{version}.npz",
        urls=(f"https://storage.googleapis.com/disentanglement_dataset/Final_Dataset/mpi3d_{version}.npz",),
        md5=md5,
    )
    for version, md5 in _MD5.items()
}
FILES = tuple(VERSIONS.values())
_SIDE = 64
# Rows that are converted at once.
_PIECE = 4096


@holding("dataset")
def mpi3d(
    *, version: Version = "toy", root: Text, image_size: Count | None, download: Flag, subset: Count | None = None
) -> Dataset:
    """Colour images [3, S, S] in the published order, read from the disk, with their factors; the object's shape is
    the label.

    Args:
        version: ``toy`` (simply rendered), ``realistic`` (rendered), or ``real`` (photographs).
        root: the folder that holds mpi3d_VERSION.npz, ``data_root``.
        image_size: S; None keeps 64.
        download: whether a missing file may be fetched.
        subset: how many random images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the file is missing or is not what its publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", _SIDE if image_size is None else image_size, most=_SIDE)
    (file,) = ensure(folder, [VERSIONS[version]], dataset=f"mpi3d={version}", download=download)
    # The file holds nothing that the images' order could be compared with.
    pieces = npz_pieces(file, "images", (len(GRID), _SIDE, _SIDE, 3), "u1", _PIECE)
    return converted_grid(
        folder,
        "mpi3d",
        [file],
        [len(GRID), side, 1],
        channels_first(file, pieces, side),
        (3, side, side),
        GRID,
        subset,
        label="object_shape",
        label_names=SHAPES,
    )
