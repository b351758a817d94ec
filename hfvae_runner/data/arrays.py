"""A user's own images or vectors from an ``.npz`` or ``.h5`` file.

Keys: ``images`` [N, H, W], [N, H, W, C] or [N, C, H, W], or ``vectors`` [N, D]; ``label`` or ``labels`` [N], or, as
Shapes3D has it, ``labels`` [N, K] of factors; ``factors`` [N, K], ``factor_names`` [K], ``factor_nuisance`` [K].
"""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from hfvae_runner.config.factor_classes import FACTOR_BINS
from hfvae_runner.config.validation import Count, Text, holding
from hfvae_runner.data import _hdf5
from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, resized
from hfvae_runner.data._examples import Rows
from hfvae_runner.data._images import on_disk, pixels, save_array
from hfvae_runner.data._own import Bins, Own, SplitSeed, TestShare, dataset_of, refuse_bad_values
from hfvae_runner.errors import ConfigError, DataError, nearest

_IMAGES, _VECTORS = "images", "vectors"
_KNOWN = ("label", "labels", "factors", "factor_names", "factor_nuisance")
_MOST_CHANNELS = 4
_VERSION = 2
_PIECE = 1 << 26
"""Bytes that are converted at once."""
_UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, NotImplementedError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@holding("dataset")
def arrays(
    *,
    file: Text | None,
    test_file: Text | None = None,
    test_share: TestShare = 0.1,
    split_seed: SplitSeed = 0,
    factor_bins: Bins = FACTOR_BINS,
    root: Text,
    image_size: Count | None,
    subset: Count | None = None,
) -> Dataset:
    """Images [C, S, S], or vectors [D], from a file of arrays.

    Images are converted once and then read from the disk, so that they need not fit in memory.

    Args:
        file: ``.npz``, ``.h5`` or ``.hdf5``.
        test_file: another one, with what is tested on; None holds a share of the first one out.
        test_share: of the examples, how many are held out.
        split_seed: of this choice.
        factor_bins: bins of equal width for a continuous factor, where a metric wants classes. Factors of whole
            numbers, and others of at most 50 values that recur, are classes as they are.
        root: where converted images are kept, ``data_root``.
        image_size: S; None keeps the file's own, which then must be square.
        subset: how many random training examples to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: a file is missing, or does not hold what is expected.
    """
    if file is None:
        raise ConfigError("dataset.file is null; expected the name of an .npz or .h5 file")
    place = Path(root)
    own = _read(Path(file), place, image_size)
    test = None if test_file is None else _read(Path(test_file), place, image_size)
    return dataset_of(own, test, test_share=test_share, split_seed=split_seed, factor_bins=factor_bins, subset=subset)


class _Array(Protocol):
    """An array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the rows in order, ``rows`` at a time."""


class _Archive(Protocol):
    """A file of arrays."""

    def names(self) -> list[str]: ...

    def array(self, name: str) -> _Array: ...


class _NpyMember:
    """A ``.npy`` member of an ``.npz`` archive, read piece by piece."""

    def __init__(self, archive: zipfile.ZipFile, member: str) -> None:
        self._archive, self._member = archive, member
        with archive.open(member) as stream:
            self.shape, self._fortran, self.dtype = _header(stream)
        name, size = member.removesuffix(".npy"), archive.getinfo(member).file_size
        if self.dtype.hasobject:
            raise DataError(f"{name} holds Python objects, as it does of examples of mixed sizes; expected numbers")
        if not 0 <= math.prod(self.shape) * self.dtype.itemsize <= size:
            raise DataError(f"{name} is cut off: {self.dtype} of shape {list(self.shape)} in {size:,} bytes")
        self._row = math.prod(self.shape[1:]) * self.dtype.itemsize

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        with self._archive.open(self._member) as stream:
            _header(stream)
            if self._fortran or not self.shape:
                whole = np.frombuffer(stream.read(), self.dtype).reshape(
                    self.shape, order="F" if self._fortran else "C"
                )
                yield from (
                    (whole[start : start + rows] for start in range(0, len(whole), rows)) if self.shape else [whole]
                )
                return
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                content = stream.read(count * self._row)
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


class _Npz:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def names(self) -> list[str]:
        return [name.removesuffix(".npy") for name in self._archive.namelist()]

    def array(self, name: str) -> _Array:
        return _NpyMember(self._archive, f"{name}.npy")


class _H5Array:
    def __init__(self, data: h5py.Dataset) -> None:
        self._data = data
        self.shape: tuple[int, ...] = data.shape
        self.dtype: np.dtype[Any] = data.dtype

    def pieces(self, rows: int) -> Iterator[NDArray[Any]]:
        return _hdf5.pieces(self._data, rows)


class _H5:
    """What lies in the file itself: a link, or a data set stored elsewhere, may lead to any file."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def names(self) -> list[str]:
        own = [name for name in self._file if isinstance(self._file.get(name, getlink=True), h5py.HardLink)]
        return [name for name in own if isinstance(self._file[name], h5py.Dataset)]

    def array(self, name: str) -> _Array:
        return _H5Array(_hdf5.stored_array(self._file, name))


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    """The arrays in a file; whatever goes wrong while they are read is a DataError that names the file."""
    if path.suffix not in (".npz", ".h5", ".hdf5"):
        raise DataError(f"{path}: expected a file that ends in .npz, .h5 or .hdf5")
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'missing'}; expected a file of arrays")
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                yield _Npz(archive)
        else:
            with h5py.File(path, "r") as file:
                yield _H5(file)
    except DataError as error:
        raise DataError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    except _UNREADABLE as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read ({what}); expected an {path.suffix} file of arrays") from None


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of a ``.npy`` stream, which then stands at its first value."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def _read(path: Path, place: Path, image_size: int | None) -> Own:
    with _opened(path) as archive:
        names = archive.names()
        kinds = [name for name in (_IMAGES, _VECTORS) if name in names]
        if len(kinds) != 1:
            first = names[0] if names else ""
            raise DataError(
                f"{path} holds {', '.join(names[:12]) or 'no arrays'}; expected images or vectors"
                f"{nearest(first, (_IMAGES, _VECTORS))}"
            )
        known = {name: _whole(archive.array(name), name) for name in _KNOWN if name in names}
        data = archive.array(kinds[0])
        digest = checksum(place, [path])
        if kinds[0] == _VECTORS:
            return Own(str(path), Rows(_vectors(data, str(path))), "real", digest=digest, **_about(path, known))
        x = _images(data, path, place, image_size, digest)
        return Own(str(path), x, "unit_interval", digest=digest, **_about(path, known))


def _whole(array: _Array, name: str) -> NDArray[Any]:
    """Return a small array, with text as NumPy's own."""
    is_text = h5py.check_string_dtype(array.dtype) is not None or array.dtype.kind in "SU"
    if not is_text and array.dtype.kind not in "biuf":
        raise DataError(f"{name} of type {array.dtype}; expected numbers or text")
    pieces = list(array.pieces(max(1, *array.shape[:1])) if array.shape else ())
    found = np.concatenate(pieces) if pieces else np.empty((0,) * max(1, len(array.shape)))
    return found.astype(np.str_) if is_text else found


def _about(path: Path, known: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Labels and factors as ``Own`` has them."""
    labels, several, factors = (known.get(name) for name in ("label", "labels", "factors"))
    if several is not None and several.ndim == 2:
        if factors is not None:
            raise DataError(f"{path} holds factors and labels of several columns; expected one of them")
        factors = several
    elif several is not None:
        if labels is not None:
            raise DataError(f"{path} holds label and labels; expected one of them")
        labels = several
    if factors is None:
        return {"labels": labels}
    if factors.ndim != 2 or factors.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: factors of type {factors.dtype} and shape {list(factors.shape)}; expected [N, K] numbers"
        )
    count = factors.shape[1]
    names = known.get("factor_names", np.array([f"factor[{k}]" for k in range(count)]))
    nuisance = known.get("factor_nuisance", np.zeros(count, bool))
    if names.shape != (count,) or nuisance.shape != (count,):
        raise DataError(f"{path}: {len(names)} factor_names, {len(nuisance)} factor_nuisance; expected {count} of each")
    texts = tuple(str(name) for name in names)
    left_out = tuple(name for name, left in zip(texts, nuisance, strict=True) if left)
    return {"labels": labels, "factors": factors.astype(float), "factor_names": texts, "nuisance": left_out}


def _vectors(array: _Array, where: str) -> torch.Tensor:
    if len(array.shape) != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise DataError(f"vectors of type {array.dtype} and shape {list(array.shape)}; expected [N, D] numbers")
    values, start = np.empty(array.shape, np.float32), 0
    with np.errstate(over="ignore"):  # too large for a float32, it is infinite and refused
        for piece in array.pieces(max(1, _PIECE // (array.shape[1] * array.dtype.itemsize))):
            values[start : start + len(piece)] = piece
            start += len(piece)
    refuse_bad_values(f"{where}: vectors", float(values.min()), float(values.max()), unit=False)
    return torch.from_numpy(values)


def _images(array: _Array, path: Path, place: Path, image_size: int | None, digest: str) -> Rows:
    """Return the images [N, C, S, S], converted once and read from the disk."""
    if array.dtype.kind not in "uf" or (array.dtype.kind == "u" and array.dtype != np.uint8):
        raise DataError(f"images of type {array.dtype}; expected uint8, or floats from 0 to 1")
    axes, (channels, height, width) = _layout(array.shape)
    if image_size is None and height != width:
        raise DataError(f"images of {height}×{width} pixels; expected square ones, or image_size=S to resize them")
    side = height if image_size is None else pixels("image_size", image_size, most=1024)
    kind = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float32)
    shape = (array.shape[0], channels, side, side)
    rows = max(1, _PIECE // max(1, channels * height * width * array.dtype.itemsize))
    build = partial(_convert, array, axes, shape, kind, rows)
    size = int(np.prod(shape)) * kind.itemsize
    return on_disk(cached(place, "arrays.npy", [digest, path.suffix, side, _VERSION], build, size=size), shape, kind)


def _layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """Return the order of the axes that makes [N, C, H, W] of images, and (C, H, W); a grey image has no axis of
    channels.
    """
    expected = f"expected [N, H, W], [N, H, W, C] or [N, C, H, W] with at most {_MOST_CHANNELS} channels"
    if 0 in shape:
        raise DataError(f"images of shape {list(shape)}; {expected} and one example or more")
    if len(shape) == 3:
        return (0, 1, 2), (1, shape[1], shape[2])
    if len(shape) == 4:
        first, last = shape[1] <= _MOST_CHANNELS, shape[3] <= _MOST_CHANNELS
        if first and not last:
            return (0, 1, 2, 3), (shape[1], shape[2], shape[3])
        if last and not first:
            return (0, 3, 1, 2), (shape[3], shape[1], shape[2])
    raise DataError(f"images of shape {list(shape)}; {expected}")


def _convert(
    array: _Array, axes: tuple[int, ...], shape: tuple[int, ...], kind: np.dtype[Any], rows: int, path: Path
) -> None:
    least, most = np.inf, -np.inf

    def pieces() -> Iterator[NDArray[Any]]:
        nonlocal least, most
        for piece in array.pieces(rows):
            images = piece.transpose(axes)
            images = np.array(images[:, None] if images.ndim == 3 else images, dtype=kind, order="C")
            # Not Python's min, which would let a NaN pass.
            least, most = float(np.minimum(least, images.min())), float(np.maximum(most, images.max()))
            yield resized(torch.from_numpy(images), shape[-1]).numpy()

    save_array(path, shape, pieces(), kind)
    refuse_bad_values("images", least, most, unit=kind != np.uint8)
