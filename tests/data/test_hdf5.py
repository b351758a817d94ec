"""Arrays of HDF5 files: what is read, and what is refused before HDF5 reads it."""

import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfvae_runner.data._hdf5 import pieces, stored_array
from hfvae_runner.errors import DataError

VALUES = np.random.default_rng(0).integers(0, 256, (50, 6, 5), dtype=np.uint8)
CHUNKS = (7, 4, 5)
PACKED: dict[str, dict[str, Any]] = {
    "whole": {},
    "chunks": {"chunks": CHUNKS},
    "gzip": {"chunks": CHUNKS, "compression": "gzip"},
    "gzip with all": {"chunks": CHUNKS, "compression": "gzip", "shuffle": True, "fletcher32": True},
    "checksum": {"chunks": CHUNKS, "fletcher32": True},
    "lzf": {"chunks": CHUNKS, "compression": "lzf", "shuffle": True},
}


def read(path: Path, rows: int = 50, key: str = "images") -> np.ndarray:
    with h5py.File(path) as file:
        return np.concatenate(list(pieces(stored_array(file, key), rows)))


@pytest.mark.parametrize("kind", [np.uint8, ">f4", np.int64])
@pytest.mark.parametrize("packed", PACKED)
def test_all_rows_are_read(packed: str, kind: Any, tmp_path: Path) -> None:
    values = VALUES.astype(kind)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=values, **PACKED[packed])
    for rows in (1, 7, 20, 50, 99):
        with h5py.File(tmp_path / "a.h5") as file:
            found = list(pieces(stored_array(file, "images"), rows))
        assert {len(piece) for piece in found[:-1]} <= {rows} and {piece.dtype for piece in found} == {values.dtype}
        assert np.array_equal(np.concatenate(found), values), rows


def test_texts_are_strings_and_an_array_without_rows_has_no_pieces(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=["a", "bé"], dtype=h5py.string_dtype(), chunks=(1,), compression="gzip")
        file["none"], file["one"] = np.empty((0, 3)), 4
    assert read(tmp_path / "a.h5").tolist() == ["a", "bé"]
    with h5py.File(tmp_path / "a.h5") as file:
        assert [list(pieces(stored_array(file, key), 5)) for key in ("none", "one")] == [[], []]


def test_chunks_that_were_never_written_are_filled(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        images = file.create_dataset("images", VALUES.shape, "u1", fillvalue=3, **PACKED["gzip"])
        images[14:21] = VALUES[14:21]
    found = read(tmp_path / "a.h5", 10)
    assert np.array_equal(found[14:21], VALUES[14:21]) and (np.delete(found, np.s_[14:21], 0) == 3).all()


def with_a_chunk_of(path: Path, length: int, packed: str, offset: tuple[int, int, int] = (14, 4, 0)) -> None:
    """Exchange a chunk for one of so many bytes."""
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", data=VALUES, **PACKED[packed])
        content = bytes(length)
        # The shuffle of single bytes changes nothing, and no checksum is compared for a chunk that has none.
        skipped = 0b100 if packed == "gzip with all" else 0
        images.id.write_direct_chunk(offset, zlib.compress(content), skipped)


@pytest.mark.parametrize("packed", ["gzip", "gzip with all"])
@given(length=st.integers(0, 400).filter(lambda length: length != 7 * 4 * 5))
def test_a_chunk_of_another_length_is_refused(
    packed: str, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("chunk") / "a.h5"
    with_a_chunk_of(path, length, packed)
    found = "short" if length < 7 * 4 * 5 else "long"
    message = rf"a.h5: the chunk of images at \(14, 4, 0\) is too {found}; expected 140 bytes"
    with pytest.raises(DataError, match=message) as refusal:
        read(path)
    assert "\n" not in str(refusal.value)
    with h5py.File(path) as file:
        before = pieces(stored_array(file, "images"), 14)
        assert np.array_equal(next(before), VALUES[:14]), "what comes before it is read"
        with pytest.raises(DataError, match="the chunk of images at"):
            next(before)


def test_a_chunk_of_the_right_length_is_read_whatever_was_skipped(tmp_path: Path) -> None:
    with_a_chunk_of(tmp_path / "a.h5", 7 * 4 * 5, "gzip with all")
    assert not read(tmp_path / "a.h5")[14:21, 4:].any()


def test_a_chunk_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        images = file.create_dataset("images", data=VALUES, **PACKED["gzip"])
        images.id.write_direct_chunk((0, 0, 0), b"no zlib stream")
    with pytest.raises(zlib.error):
        read(tmp_path / "a.h5")


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=VALUES.astype("i4"), chunks=CHUNKS, scaleoffset=0)
        file.create_dataset("small", data=VALUES, **PACKED["lzf"])
    with pytest.raises(DataError, match="images is packed by HDF5's filter 6; expected gzip, lzf or none"):
        read(path)
    # The filter's values end with the size of its buffer, which HDF5 would take for the chunk.
    content, stated = path.read_bytes(), struct.pack("<3I", 4, 261, 140)
    assert content.count(stated) == 1
    path.write_bytes(content.replace(stated, struct.pack("<3I", 4, 261, 1)))
    with pytest.raises(DataError, match="small is packed by HDF5's filter 32000"):
        read(path, key="small")


def test_what_is_no_array_of_the_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("group")
        file["images"] = VALUES
        file["link"] = h5py.SoftLink("/images")
    for key, message in (("group", "group is a Group; expected an array"), ("link", "link is stored in another file")):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.h5", key=key)
    with pytest.raises(KeyError):
        read(tmp_path / "a.h5", key="none")
