"""Storage of examples: a plain tensor, packed bits, sparse counts, or what images are drawn from.

Shapes: N examples; B chosen ones; P pixels; H, W height and width; V words; E counts that are not zero; * an example.
"""

import math
import os
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from hfvae_runner.errors import DataError

_PIECE = 4096


class Examples(Protocol):
    """N examples on a device. A tensor [N, *] is one.

    ``examples[index]`` with int64 [B] gives the chosen ones as they are computed with, [B, *]: uint8 images, 255 being
    1.0, or float32 values.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *)."""

    @property
    def device(self) -> torch.device: ...

    @property
    def nbytes(self) -> int:
        """The bytes that they take on a device."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor: ...

    def to(self, device: torch.device, /) -> Self: ...


def take(x: Examples, index: Tensor) -> Examples:
    """Select examples by index, int64 [B], in the storage of ``x``."""
    return x.take(index) if isinstance(x, PackedBits | SparseCounts | Rows | Drawn) else x[index]


class ArrayFile:
    """An array in a file, of which chosen rows are read.

    A memory map would do the same, but Linux counts up to 2 MiB around each row that is read as memory of the process,
    which would grow to the size of the file.
    """

    def __init__(self, path: Path, start: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """
        Args:
            path: the file, which stays open.
            start: where the array begins, in bytes.
            shape: (M, *); row follows row.
            dtype: of its numbers.
        """
        self.shape, self.dtype = shape, dtype
        self.itemsize = torch.empty(0, dtype=dtype).element_size()
        self._path, self._start = path, start
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, rows: Tensor) -> Tensor:
        """Return the chosen rows, int64 [B] -> [B, *].

        Raises:
            DataError: the file is shorter than the array.
        """
        found = torch.empty(len(rows), *self.shape[1:], dtype=self.dtype)
        size = math.prod(self.shape[1:]) * self.itemsize
        content = found.numpy().reshape(-1).view(np.uint8).data
        starts = [self._start + row * size for row in rows.tolist()]
        # A disk reads many rows at once faster than one after the other; macOS cannot be told.
        for start in starts if hasattr(os, "posix_fadvise") else ():
            os.posix_fadvise(self._descriptor, start, size, os.POSIX_FADV_WILLNEED)
        for place, start in enumerate(starts):
            # By a given offset, so that threads and processes that share the file do not disturb each other.
            got = os.preadv(self._descriptor, [content[place * size : (place + 1) * size]], start)
            if got != size:
                raise DataError(f"{self._path} has been cut off; expected {len(self):,} examples: remove it")
        return found


class Rows:
    """Some rows of a tensor or of a file, which are not copied."""

    def __init__(self, x: Tensor | ArrayFile, rows: Tensor | None = None) -> None:
        """
        Args:
            x: [M, *].
            rows: int64 [N], from 0 to M − 1; None for all.
        """
        self._x, self._rows = x, torch.arange(len(x)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *)."""
        return (len(self._rows), *self._x.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self._x.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the rows, read or not."""
        return math.prod(self.shape) * self._x.itemsize

    @property
    def device(self) -> torch.device:
        return self._rows.device

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the chosen rows, [B, *]."""
        rows = self._rows[index]
        # Copies whole rows; x[rows] copies them number by number and takes ten times as long.
        return self._x.index_select(0, rows) if isinstance(self._x, Tensor) else self._x.read(rows)

    def take(self, index: Tensor) -> Self:
        """Return the chosen rows, not copied."""
        return type(self)(self._x, self._rows[index])

    def to(self, device: torch.device) -> "Rows":
        """Return the rows on a device; on another one than theirs they are copied."""
        if device.type == self.device.type:
            return self
        copied = torch.empty(self.shape, dtype=self._x.dtype, device=device)
        for index in torch.arange(len(self)).split(_PIECE):  # all at once, they would be held here a second time
            copied[index[0] : index[-1] + 1] = self[index].to(device)
        return Rows(copied, torch.arange(len(self), device=device))


class PackedBits:
    """Binary images, eight pixels a byte: an eighth of the memory of uint8 images."""

    def __init__(self, packed: Tensor, image_shape: tuple[int, ...]) -> None:
        """
        Args:
            packed: uint8 [N, ceil(P/8)], each image's pixels in order, the first one in the highest bit (as
                ``numpy.packbits`` has it).
            image_shape: (C, H, W), P = C·H·W.
        """
        self._pixels = math.prod(image_shape)
        if packed.dtype != torch.uint8 or packed.shape[1:] != (-(-self._pixels // 8),):
            raise ValueError(f"packed images of {packed.dtype}, {tuple(packed.shape)}, do not hold {image_shape}")
        self.packed = packed
        self._image_shape = image_shape

    @classmethod
    def pack(cls, images: Tensor) -> Self:
        """Packs uint8 images [N, C, H, W]; what is not 0 is a 1."""
        bits = np.packbits(images.flatten(1).cpu().numpy(), axis=1)
        return cls(torch.from_numpy(bits).to(images.device), tuple(images.shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return (len(self.packed), *self._image_shape)

    @property
    def device(self) -> torch.device:
        return self.packed.device

    @property
    def nbytes(self) -> int:
        """The bytes of the packed images."""
        return self.packed.nbytes

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the chosen images, uint8 [B, C, H, W], of 0 and 255."""
        pixels = _pixels_of_byte(self.device)[self.packed[index].int()].view(torch.uint8)
        return pixels[:, : self._pixels].reshape(-1, *self._image_shape)

    def take(self, index: Tensor) -> Self:
        """Return the chosen images, packed."""
        return type(self)(self.packed[index], self._image_shape)

    def to(self, device: torch.device) -> Self:
        return type(self)(self.packed.to(device), self._image_shape)


@cache
def _pixels_of_byte(device: torch.device) -> Tensor:
    """Return every byte's eight pixels as one number, int64 [256]: an image is read by looking up its bytes."""
    bits = torch.arange(256)[:, None] >> torch.arange(7, -1, -1) & 1
    return (255 * bits).to(torch.uint8).view(torch.int64)[:, 0].to(device)


class Drawn:
    """Images that are drawn whenever they are asked for, from something smaller that is stored of each.

    An image depends on nothing else, so an example has the same one in every batch, split and process.
    """

    def __init__(
        self,
        draw: Callable[..., Tensor],
        image_shape: tuple[int, int, int],
        parts: Sequence[Examples],
        shared: Sequence[Tensor] = (),
    ) -> None:
        """
        Args:
            draw: a pure function of the chosen rows of each part, [B, *], followed by the shared tensors; it returns
                images uint8 [B, C, H, W], the same ones to the bit on every device.
            image_shape: (C, H, W).
            parts: what is stored of each example, each [N, *].
            shared: what all images are drawn with.
        """
        self._draw, self._image_shape = draw, image_shape
        self._parts, self._shared = tuple(parts), tuple(shared)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return (len(self), *self._image_shape)

    @property
    def device(self) -> torch.device:
        return self._parts[0].device

    @property
    def nbytes(self) -> int:
        """The bytes of what is stored."""
        return sum(each.nbytes for each in (*self._parts, *self._shared))

    def __len__(self) -> int:
        return len(self._parts[0])

    def __getitem__(self, index: Tensor) -> Tensor:
        """Draw the chosen images, uint8 [B, C, H, W]."""
        return self._draw(*(part[index] for part in self._parts), *self._shared)

    def take(self, index: Tensor) -> Self:
        """Return the chosen images, not drawn."""
        return type(self)(self._draw, self._image_shape, [take(part, index) for part in self._parts], self._shared)

    def to(self, device: torch.device) -> Self:
        parts = [part.to(device) for part in self._parts]
        return type(self)(self._draw, self._image_shape, parts, [each.to(device) for each in self._shared])


class SparseCounts:
    """Sparse counts, such as the words of documents, in compressed rows."""

    def __init__(self, starts: Tensor, columns: Tensor, counts: Tensor, size: int) -> None:
        """
        Args:
            starts: int64 [N + 1]; row i's entries are those from starts[i] to starts[i + 1] − 1.
            columns: int64 [E], from 0 to V − 1, none twice in a row.
            counts: float32 [E].
            size: V.
        """
        if len(starts) < 1 or len(columns) != len(counts) or int(starts[-1]) != len(counts):
            raise ValueError(
                f"{len(columns)} columns and {len(counts)} counts; expected {starts[-1:].tolist()} of each"
            )
        self.starts, self.columns, self.counts = starts, columns, counts
        self._size = size

    @classmethod
    def from_scipy(cls, matrix: csr_matrix) -> Self:
        """From a matrix [N, V]."""
        whole = csr_matrix(matrix)
        whole.sum_duplicates()
        starts, columns = (torch.from_numpy(part.astype(np.int64)) for part in (whole.indptr, whole.indices))
        return cls(starts, columns, torch.from_numpy(whole.data.astype(np.float32)), whole.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V)."""
        return len(self), self._size

    @property
    def device(self) -> torch.device:
        return self.counts.device

    @property
    def nbytes(self) -> int:
        """The bytes of the compressed rows."""
        return self.starts.nbytes + self.columns.nbytes + self.counts.nbytes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the chosen rows, float32 [B, V]."""
        rows, entries = self._entries(index)
        dense = torch.zeros(len(index), self._size, device=self.device)
        dense[rows, self.columns[entries]] = self.counts[entries]
        return dense

    def take(self, index: Tensor) -> Self:
        """Return the chosen rows, compressed."""
        _, entries = self._entries(index)
        index = index.to(self.device)
        lengths = self.starts[index + 1] - self.starts[index]
        starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return type(self)(starts, self.columns[entries], self.counts[entries], self._size)

    def to(self, device: torch.device) -> Self:
        return type(self)(self.starts.to(device), self.columns.to(device), self.counts.to(device), self._size)

    def _entries(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """For each entry of the chosen rows, its row among them and its place among all entries."""
        index = index.to(self.device)
        first, lengths = self.starts[index], self.starts[index + 1] - self.starts[index]
        rows = torch.repeat_interleave(torch.arange(len(index), device=self.device), lengths)
        place_in_row = torch.arange(len(rows), device=self.device) - (lengths.cumsum(0) - lengths)[rows]
        return rows, first[rows] + place_in_row
