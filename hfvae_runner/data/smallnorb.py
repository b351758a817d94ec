"""SmallNORB: 24,300 + 24,300 grey pictures of toys (LeCun, Huang, Bottou 2004), from the published binary matrices.

The format is described at cs.nyu.edu/~ylclab/data/norb-v1.0-small; the sizes and checksums of the files are those of
TensorFlow Datasets.

Shapes: N examples of a split; n of a piece; S side length in pixels.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hfvae_runner.config.validation import Count, Flag, Text, holding
from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, Split, reduced, resized
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.data._images import data_root, mapped, pixels, save_array
from hfvae_runner.data.factors import Factors
from hfvae_runner.errors import DataError

FACTORS = Factors(
    ("category", "instance", "elevation", "azimuth", "lighting"), (5, 10, 9, 18, 6), nuisance=("instance",)
)
CATEGORIES = ("animal", "human", "airplane", "truck", "car")
# The instances of every category in each split, training first. They share none.
INSTANCES = ((4, 6, 7, 8, 9), (0, 1, 2, 3, 5))
# Azimuths are given in tens of degrees, every second one.
_STEP = 2
_SIDE = 96
_PARTS = ("dat", "cat", "info")
_NAMES = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
_PUBLISHED = {
    "training-dat": (131_896_188, "5ffd6272a07d32695ee1082a26a41a93a37aab8c28da047f8c34ed348d214873"),
    "training-cat": (348, "2784e542c1922060691090952b6cd6278879a216c90f81476f0f00256d42cdaa"),
    "training-info": (71_052, "de7eb932ebe7a4ee16217fead60660d0eb3d23632c2f4d1c51f88c501c17bf32"),
    "testing-dat": (130_799_817, "cf7104eed3e51174d2f65b66d1e5878b9da233b886f161b0d88f4510ba2c7474"),
    "testing-cat": (347, "ecaf6d5bb8c3bc5eab9cf0258f6d2198dd474e016e374836fc097f2e5ff509ff"),
    "testing-info": (10_428, "16adf314226327ee006d1a44db8cfef52773c06c829951d5653a9f6f310248a2"),
}


def _remote(name: str, part: str) -> RemoteFile:
    file = f"smallnorb-{name}-{part}.mat"
    size, sha256 = _PUBLISHED[f"{name.rpartition('-')[2]}-{part}"]
    return RemoteFile(
        f"smallnorb/{file}",
        urls=(f"https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/{file}.gz",),
        sha256=sha256,
        size=size,
        archive=f"smallnorb/{file}.gz",
        limit=2**29,
    )


FILES = tuple(_remote(name, part) for name in _NAMES for part in _PARTS)
_MAGIC = {
    **{0x1E3D4C51: "float32", 0x1E3D4C52: "packed", 0x1E3D4C53: "float64"},
    **{0x1E3D4C54: "int32", 0x1E3D4C55: "uint8", 0x1E3D4C56: "int16"},
}
_AGAIN = "remove it and fetch it again"
# Stereo pairs that are converted at once.
_PIECE = 1024


@holding("dataset")
def smallnorb(*, root: Text, image_size: Count | None, download: Flag, subset: Count | None = None) -> Dataset:
    """Grey images [1, S, S], the first of each stereo pair, resized with antialiasing; the published split.

    The label is the category. The objects (instances) of the training and the test images are different ones.

    Args:
        root: the folder that holds smallnorb/*.mat, plain or as published (.mat.gz), ``data_root``.
        image_size: S; None makes it 64.
        download: whether missing files may be fetched.
        subset: how many random training images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the files are missing or are not what their publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", 64 if image_size is None else image_size, most=_SIDE)
    files = ensure(folder, FILES, dataset="smallnorb", download=download)
    n = _examples()
    shape = (2 * n, 1, side, side)
    # The small files first: their check is quick, the images' conversion is not.
    train_images, train_categories, train_info, test_images, test_categories, test_info = files
    train_factors = torch.from_numpy(_factors(train_categories, train_info, INSTANCES[0]))
    test_factors = torch.from_numpy(_factors(test_categories, test_info, INSTANCES[1]))
    build = partial(_convert, [train_images, test_images], shape=shape)
    key = [checksum(folder, files), n, side, 1]
    images = mapped(cached(folder, "smallnorb.npy", key, build, size=math.prod(shape)), shape).split(n)
    train, test = (
        Split(x, labels=factors[:, 0].long(), factors=factors)
        for x, factors in zip(images, (train_factors, test_factors), strict=True)
    )
    notes = {"instance": "the test images show other instances than the training images, five of each category"}
    dataset = Dataset(train, test, "unit_interval", label_names=CATEGORIES, factors=FACTORS, notes=notes)
    return reduced(dataset, subset)


def _examples() -> int:
    """Return N, the same in each split: half of the instances in every pose."""
    return math.prod(FACTORS.sizes) // FACTORS.sizes[1] * len(INSTANCES[0])


def _convert(files: Sequence[Path], path: Path, *, shape: tuple[int, ...]) -> None:
    # Every header is checked before anything is written.
    pairs = [_matrix(file, "uint8", (_examples(), 2, _SIDE, _SIDE)) for file in files]
    save_array(path, shape, _resized(pairs, shape[-1]))


def _resized(pairs: Sequence[np.ndarray], side: int) -> Iterator[np.ndarray]:
    """Yield the first image of each pair, uint8 [n, 1, S, S]."""
    for whole in pairs:
        for start in range(0, len(whole), _PIECE):
            yield resized(torch.from_numpy(whole[start : start + _PIECE, :1].copy()), side).numpy()


def _factors(categories: Path, info: Path, instances: Sequence[int]) -> np.ndarray:
    """Return the factors of every example of a split, int16 [N, 5].

    Raises:
        DataError: a value is not one of its factor's, or an object does not occur once in every pose.
    """
    n = _examples()
    found = np.column_stack([_matrix(categories, "int32", (n,)), _matrix(info, "int32", (n, 4))])
    azimuth = FACTORS.names.index("azimuth")
    known = [set(range(size)) for size in FACTORS.sizes]
    known[1] = set(instances)
    known[azimuth] = set(range(0, _STEP * FACTORS.sizes[azimuth], _STEP))
    for k, (name, values) in enumerate(zip(FACTORS.names, known, strict=True)):
        if wrong := sorted(set(found[:, k].tolist()) - values):
            expected = ", ".join(map(str, sorted(values)))
            raise DataError(f"{categories if k == 0 else info} has {name} {wrong[0]}; expected {expected}: {_AGAIN}")
    if len(np.unique(found, axis=0)) < n:
        raise DataError(f"{info} has several images of an object in the same pose; expected one: {_AGAIN}")
    found[:, azimuth] //= _STEP
    return found.astype(np.int16)


def _matrix(file: Path, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Map a matrix from the disk, once its header and the file's size are those expected.

    The header is the kind of the numbers, how many dimensions there are, and their sizes, at least three of them; all
    numbers of the file have the lowest byte first.

    Raises:
        DataError: the file is another one.
    """
    expected = f"expected {kind} of shape {shape}: {_AGAIN}"
    dimensions = max(3, len(shape))
    length = 8 + 4 * dimensions
    try:
        with file.open("rb") as stream:
            header = stream.read(length)
        size = file.stat().st_size
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); {expected}") from None
    if len(header) < length:
        raise DataError(f"{file} has {len(header)} bytes, less than a header; {expected}")
    magic, count, *sizes = struct.unpack(f"<{2 + dimensions}i", header)
    if magic not in _MAGIC:
        raise DataError(f"{file} starts with {magic & 0xFFFFFFFF:#010x}, which is no binary matrix; {expected}")
    if _MAGIC[magic] != kind or count != len(shape) or tuple(sizes[:count]) != shape:
        what = tuple(sizes[:count]) if 0 < count <= len(sizes) else f"{count} dimensions"
        raise DataError(f"{file} holds {_MAGIC[magic]} of shape {what}; {expected}")
    dtype = np.dtype(kind).newbyteorder("<")
    if size != (whole := length + math.prod(shape) * dtype.itemsize):
        raise DataError(f"{file} has {size:,} bytes; expected {whole:,}: {_AGAIN}")
    return np.memmap(file, dtype, "r", length, shape)
