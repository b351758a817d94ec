"""Storage of examples: a plain tensor, packed bits, sparse counts, or what images are drawn from.

Shapes: N examples; B chosen ones; P pixels; H, W height and width; V words; E counts that are not zero; * an example.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

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

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor: ...

    def to(self, device: torch.device, /) -> Self: ...


def take(x: Examples, index: Tensor) -> Examples:
    """Select examples by index, int64 [B], in the storage of ``x``."""
    return x.take(index) if isinstance(x, PackedBits | SparseCounts | Rows | Drawn) else x[index]


class Rows:
    """Some rows of a tensor that is not copied, such as one that is mapped from a file."""

    def __init__(self, x: Tensor, rows: Tensor) -> None:
        """
        Args:
            x: [M, *].
            rows: int64 [N], from 0 to M − 1.
        """
        self._x, self._rows = x, rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *)."""
        return (len(self._rows), *self._x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self._x.device

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the chosen rows, [B, *]."""
        return self._x[self._rows[index]]

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
