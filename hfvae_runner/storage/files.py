"""Atomic, durable writes that raise StorageError if the disk is full or fails."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from hfvae_runner.errors import StorageError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise StorageError if the disk is full or fails while the block writes to the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a stream that replaces ``path`` when the block ends without an error; else ``path`` is unchanged.

    Raises:
        StorageError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            # Never write through a link that somebody else has created.
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(path.parent)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Make a new folder, which appears as ``folder`` when the block ends without an error; else nothing is left.

    Args:
        folder: must not exist, or be empty.

    Yields:
        A folder beside it to write into.

    Raises:
        StorageError: it cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}.tmp")
    with writing(folder):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if folder.is_dir():
                folder.rmdir()
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        flush_folder(folder.parent)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace the file's content by ``data`` (text as UTF-8) atomically; raise StorageError on failure."""
    with atomic(path) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def flush_folder(folder: Path) -> None:
    """Flush new names and renames in the folder to the disk."""
    with writing(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def strict_json(content: Mapping[str, object], file: str, indent: int | None = None) -> str:
    """Format the content as strict JSON; raise ValueError with file and place of a number that is not finite."""
    for place, number in _numbers(content, ""):
        if not math.isfinite(number):
            raise ValueError(f"{file}: {place} is {number}; expected a finite number, or null and a reason")
    return json.dumps(content, allow_nan=False, indent=indent, ensure_ascii=False)


def _numbers(value: object, place: str) -> Iterator[tuple[str, float]]:
    """Yield every float in ``value`` with its place, as in ``test.kl_per_factor.style[0]``."""
    if isinstance(value, float):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{place}[{index}]")
