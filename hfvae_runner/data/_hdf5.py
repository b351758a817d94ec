"""Reads arrays of HDF5 files, whose content is not trusted.

HDF5 2.0 does not compare the length of an unpacked chunk with the chunk's shape. If a chunk is too short, HDF5 copies
what lies beyond it in memory, or ends the process with a segmentation fault. So every packed chunk is unpacked and
measured here before HDF5 reads it.

Shapes: N examples; n of them; * the shape of one.
"""

import math
import zlib
from collections.abc import Iterator
from operator import attrgetter

import h5py
import numpy as np
from h5py import h5z

from hfvae_runner.errors import DataError

_CHECKSUM_BYTES = 4
_LZF_SIZE = 2
"""Index of the LZF filter's value that has the size of the buffer to which it unpacks."""


def stored_array(file: h5py.File, key: str) -> h5py.Dataset:
    """Return an array that is stored in the file itself.

    Raises:
        DataError: there is something else of that name, or what it leads to may be in another file.
        KeyError: there is nothing of that name.
    """
    array = file[key]
    linked = not isinstance(file.get(key, getlink=True), h5py.HardLink)
    if not isinstance(array, h5py.Dataset):
        raise DataError(f"{file.filename}: {key} is a {type(array).__name__}; expected an array")
    if linked or array.is_virtual or array.external:
        raise DataError(f"{file.filename}: {key} is stored in another file; expected an array in this one")
    return array


def pieces(array: h5py.Dataset, rows: int) -> Iterator[np.ndarray]:
    """Yield the rows of an array [N, *] in order, [n, *] at a time; texts as strings.

    Args:
        array: from ``stored_array``.
        rows: the largest n. Of a number that the chunks divide, HDF5 unpacks each chunk once.

    Raises:
        DataError: a chunk has another length than its shape tells, or is packed in a way that could not be checked.
        OSError, zlib.error: the file is damaged.
    """
    values = array.asstr() if h5py.check_string_dtype(array.dtype) else array
    chunks = _Chunks(array) if array.chunks else None
    for start in range(0, array.shape[0] if array.shape else 0, rows):
        if chunks is not None:
            chunks.measure(until=start + rows)
        yield values[start : start + rows]


class _Chunks:
    """The chunks of an array that the file contains, to be measured in their order."""

    def __init__(self, array: h5py.Dataset) -> None:
        self._id, self._file, self._name = array.id, array.file.filename, array.name.lstrip("/")
        self._length: int = math.prod(array.chunks) * _stored_size(array)
        properties = array.id.get_create_plist()
        self._filters = [properties.get_filter(k)[::2] for k in range(properties.get_nfilters())]
        for code, values in self._filters:
            self._require_known(code, values)
        found: list[h5py.h5d.StoreInfo] = []
        # Chunks that were never written are not in the file; HDF5 fills them.
        self._id.chunk_iter(found.append)
        self._found = iter(sorted(found, key=attrgetter("chunk_offset")))
        self._next = next(self._found, None)

    def measure(self, until: int) -> None:
        """Measure the chunks that begin before the row ``until`` and were not measured yet."""
        while self._next is not None and self._next.chunk_offset[0] < until:
            offset = self._next.chunk_offset
            length = self._unpacked(offset) if self._filters else self._next.size
            if length != self._length:
                found = f"the chunk of {self._name} at {offset} is too {'short' if length < self._length else 'long'}"
                raise DataError(f"{self._file}: {found}; expected {self._length:,} bytes")
            self._next = next(self._found, None)

    def _unpacked(self, offset: tuple[int, ...]) -> int:
        """Return a chunk's length in bytes after all filters; some bytes more than expected if it is longer."""
        skipped, packed = self._id.read_direct_chunk(offset)
        applied = [code for k, (code, _) in enumerate(self._filters) if not skipped >> k & 1]
        for code in reversed(applied):
            if code == h5z.FILTER_FLETCHER32:
                packed = packed[:-_CHECKSUM_BYTES]
            elif code == h5z.FILTER_DEFLATE:
                packed = zlib.decompressobj().decompress(packed, self._length + 1 + _CHECKSUM_BYTES)
            elif code == h5z.FILTER_LZF:
                # HDF5 unpacks it to a buffer of the size in the filter's values, which was compared.
                return self._length
        return len(packed)

    def _require_known(self, code: int, values: tuple[int, ...]) -> None:
        """Refuse filters whose result cannot be measured; for those that HDF5 lacks, it would load a library."""
        known = (h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_DEFLATE)
        if code == h5z.FILTER_LZF and len(values) > _LZF_SIZE and values[_LZF_SIZE] >= self._length:
            return
        if code not in known:
            found = f"{self._name} is packed by HDF5's filter {code}"
            raise DataError(f"{self._file}: {found}; expected gzip, lzf or none, such as h5repack -f GZIP=4 writes")


def _stored_size(array: h5py.Dataset) -> int:
    """Return the bytes of one value in the file."""
    text = h5py.check_string_dtype(array.dtype)
    if text is None or text.length is not None:
        return int(array.id.get_type().get_size())
    # A text of any length lies elsewhere in the file. The array has its length, that place's address, and an index.
    address, _ = array.file.id.get_create_plist().get_sizes()
    return 4 + int(address) + 4
