"""Unpacks untrusted archives: atomically, within their folder, up to a size."""

import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from hfvae_runner.data import _places
from hfvae_runner.data._download import Failed

_Opener = Callable[[], IO[bytes]]

_CHUNK = 2**20
_CUT_OFF_OR_CORRUPT = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)


def unpack(archive: Path, target: Path, *, member: str, limit: int) -> None:
    """Unpack an archive to ``target``: a file for .gz, else the folder or file ``member``, or everything.

    Args:
        archive: .zip, .tar, or .tar compressed, or one file compressed as .gz.
        target: must not exist.
        member: a name inside the archive; empty for all of it.
        limit: bytes that may be written at most.

    Raises:
        Failed: it is cut off or corrupt, holds no such member, a member that is a link or outside its folder, or more
            than ``limit`` bytes.
        OSError: it could not be written.
    """
    temporary = target.with_name(f".{target.name}.unpacking")
    _places.remove(temporary)
    try:
        with _named_reasons():
            if archive.suffix == ".gz" and not archive.stem.endswith(".tar"):
                with gzip.open(archive) as stream:
                    _write(stream, temporary, limit)
                _places.flush(temporary)
            else:
                _write_members(archive, temporary, PurePosixPath(member), limit)
        if not temporary.exists():
            raise Failed(f"it holds no {member}" if member else "it is empty")
        os.replace(temporary, target)
    finally:
        _places.remove(temporary)


@contextmanager
def _named_reasons() -> Iterator[None]:
    try:
        yield
    except _CUT_OFF_OR_CORRUPT as error:
        # tarfile goes on, in more lines, about every kind of compression that it tried.
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise Failed(f"it is cut off or corrupt ({reason})") from None
    except (RuntimeError, NotImplementedError) as error:
        # zipfile's words for encrypted members and unknown compression.
        raise Failed(f"it cannot be unpacked ({error})") from None


def _write_members(archive: Path, target: Path, wanted: PurePosixPath, limit: int) -> None:
    members = (_zipped if archive.suffix == ".zip" else _tarred)(archive)
    left = limit
    for name, opened in tqdm(members, desc=archive.name, unit="file", disable=None, leave=False):
        path = _inside(name)
        if not path.is_relative_to(wanted):
            continue
        if opened is None:
            raise Failed(f"its member {name!r} is neither a file nor a folder")
        with opened() as stream:
            left -= _write(stream, target / path.relative_to(wanted), left)


def _zipped(archive: Path) -> Iterator[tuple[str, _Opener | None]]:
    """Yield each member but folders: its name, and what opens it; None for the latter where it is no file."""
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            if not info.is_dir():
                # The upper half is the Unix mode, 0 where another system packed it.
                is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield info.filename, partial(content.open, info) if is_file else None


def _tarred(archive: Path) -> Iterator[tuple[str, _Opener | None]]:
    """As ``_zipped``."""
    with tarfile.open(archive) as content:
        for info in content:
            if not info.isdir():
                yield info.name, partial(_extracted, content, info) if info.isreg() else None
        _require_end(content)


def _require_end(content: tarfile.TarFile) -> None:
    """tarfile takes a corrupt header, or the end of the file, for the end of the archive: that is a block of zeros.

    Reading up to it also has the checksum of a compressed archive verified.
    """
    assert content.fileobj is not None, "it was opened for reading"
    found = False
    while chunk := content.fileobj.read(_CHUNK):
        found = True
        if chunk.count(0) < len(chunk):
            raise tarfile.ReadError("a member has no valid header")
    if not found:
        raise tarfile.ReadError("unexpected end of data")


def _extracted(content: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = content.extractfile(info)
    assert stream is not None, "a regular file has content"
    return stream


def _inside(name: str) -> PurePosixPath:
    """Return a member's name as a path that stays in its folder, on any system."""
    on_windows = PureWindowsPath(name)
    if on_windows.anchor or ".." in on_windows.parts or not on_windows.parts or "\0" in name:
        raise Failed(f"its member {name!r} points outside its folder")
    return PurePosixPath(name)


def _write(stream: IO[bytes] | gzip.GzipFile, path: Path, limit: int) -> int:
    """Writes a file of at most ``limit`` bytes and returns how many they were."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("wb") as file:
        while chunk := stream.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise Failed("it unpacks to more bytes than are allowed")
            file.write(chunk)
    return written
