"""Folders for data files and their conversions: ``data_root`` if it can be written, else the user's cache."""

import errno
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from hfvae_runner.errors import DataError

logger = logging.getLogger(__name__)

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def user_folder() -> Path | None:
    """Return the user's cache folder of this program, as the platform has it; None where the user has no home."""
    # The XDG specification: a relative name there is to be ignored.
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):
        return Path(chosen) / "hfvae_runner"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "hfvae_runner" / "cache"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "hfvae_runner"


def places(root: Path) -> list[Path]:
    """Return the folders to look in, ``root`` first."""
    user = user_folder()
    return [root] if user is None else [root, user / "data"]


def writable(root: Path) -> Path:
    """Return the first of the places that files can be written to.

    Raises:
        DataError: none.
    """
    reasons = []
    for place in places(root):
        try:
            place.mkdir(parents=True, exist_ok=True)
            # The administrator could write there all the same, against the wish of whoever took the rights away.
            if not place.stat().st_mode & 0o222:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            reasons.append(f"{place} ({error.strerror})")
            continue
        if reasons:
            logger.warning("cannot write to %s: files go to %s", reasons[0], place)
        return place
    raise DataError(
        f"cannot write to {' or '.join(reasons)}; expected a folder for data files: give data_root=FOLDER or set "
        "XDG_CACHE_HOME"
    )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Lock ``path`` for writing; other processes wait. Its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def require_space(folder: Path, size: int | None) -> None:
    """Raises OSError (no space left) where ``folder`` has not ``size`` bytes free; None asks nothing."""
    free = shutil.disk_usage(folder).free
    if size is not None and size > free:
        raise OSError(errno.ENOSPC, f"{size:,} bytes needed, {free:,} free")


def why_not_written(error: OSError) -> str:
    """Describe why a file could not be written."""
    reason = error.strerror or str(error)
    return f"the disk is full: {reason}" if error.errno in _NO_SPACE else reason
