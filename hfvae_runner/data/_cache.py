"""Caches converted data files: written atomically, and once for several processes."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hfvae_runner.data import _places
from hfvae_runner.data._download import digest_of
from hfvae_runner.errors import DataError

FOLDER = "converted"


def cached(
    root: Path, name: str, key: Sequence[object], build: Callable[[Path], None], size: int | None = None
) -> Path:
    """Return the file or folder that ``build`` makes; it is called once per key.

    It stands in ``converted`` below ``root`` if that can be written, else below the user's cache folder.

    Args:
        root: ``data_root``.
        name: of the data set, with the ending that the file has to have: ``cars3d.npy``.
        key: all that shapes the content: the sources' ``checksum``, every option, and a number that grows when
            ``build`` changes. Each part needs a ``repr`` that is the same in every process.
        build: writes the file or folder at the path that it is given, which has the name's ending. To write an array,
            ``numpy.save`` tells of a full disk; a memory map would end the process.
        size: bytes that the content needs, looked for on the disk beforehand; None if not known.

    Raises:
        DataError: it cannot be written, or what ``build`` raises.
    """
    stem, ending = os.path.splitext(name)
    entry = Path(FOLDER) / f"{stem}-{_digest(map(repr, key))[:16]}{ending}"
    for place in _places.places(root):
        if os.path.exists(place / entry):
            return place / entry
    path = _places.writable(root) / entry
    try:
        with _places.lock(path):
            # Another process may have built it while this one waited.
            if not path.exists():
                _build(path, build, size)
    except OSError as error:
        reason = _places.why_not_written(error)
        raise DataError(
            f"{path}, the converted copy of {stem}, could not be written: {reason}; "
            "expected room there: free some, or give data_root=FOLDER"
        ) from None
    return path


def checksum(root: Path, files: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' names, below the folder that they share, and contents, in hexadecimal.

    It is computed once for files of these names, sizes and times of change, and remembered among the converted copies.
    """
    shared = os.path.commonpath([file.parent for file in files])
    # By text: comparing paths takes seconds for some hundred thousand.
    standings = [(file, file.stat()) for file in sorted(files, key=str)]
    listing = [f"{os.path.abspath(file)} {standing.st_size} {standing.st_mtime_ns}" for file, standing in standings]

    def compute(path: Path) -> None:
        contents = (f"{file.relative_to(shared).as_posix()} {digest_of(file, 'sha256')}" for file, _ in standings)
        path.write_text(_digest(contents), encoding="ascii")

    return cached(root, "checksum.txt", [_digest(listing)], compute).read_text(encoding="ascii")


def _build(path: Path, build: Callable[[Path], None], size: int | None) -> None:
    # One name for all tries, under the lock: what a killed process left is cleared away by the next.
    temporary = path.with_name(f".building-{path.name}")
    _places.remove(temporary)
    _places.require_space(path.parent, size)
    try:
        build(temporary)
        if temporary.is_file():
            _places.flush(temporary)
        os.replace(temporary, path)
    finally:
        _places.remove(temporary)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
