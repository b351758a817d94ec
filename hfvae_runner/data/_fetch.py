"""Finds a data set's files, or downloads them from their publisher.

Nothing stands under a file's own name before it is whole: downloads and unpacked archives have temporary names until
their size and checksum are right.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hfvae_runner.data import _places
from hfvae_runner.data._download import Content, Failed
from hfvae_runner.data._download import download as fetch
from hfvae_runner.data._unpack import unpack
from hfvae_runner.errors import ConfigError, DataError


@dataclass(frozen=True)
class RemoteFile:
    """A file or folder of a data set, with its addresses and checksums.

    Attributes:
        name: where it belongs below ``data_root``, such as ``MNIST/raw/train-images-idx3-ubyte``.
        urls: addresses in the order to try; none where it has no public download.
        sha256: of what is downloaded, in hexadecimal; None if the publisher names none.
        md5: the same.
        size: bytes of what is downloaded; None if not known.
        archive: where the archive belongs that ``name`` is unpacked from (.gz, .zip, .tar, .tar.gz, ...); None where
            the download is the file itself. A downloaded archive is removed once unpacked; one that a person put
            there is used instead of a download, and stays.
        member: the folder or file inside a .zip or .tar that becomes ``name``; empty for the whole archive.
        limit: bytes that a download or an unpacked archive may have at most.
        ask: where a file without an address is to be had, as the end of a sentence: ``ask its authors at …``.
    """

    name: str
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    archive: str | None = None
    member: str = ""
    limit: int = 16 * 2**30
    ask: str = ""


def ensure(root: Path, files: Sequence[RemoteFile], *, dataset: str, download: bool) -> list[Path]:
    """Return the paths of the files, below ``root`` or the user's cache folder; missing ones are downloaded.

    Args:
        root: ``data_root``; may be read-only.
        files: what the data set reads.
        dataset: its name on the command line.
        download: whether a missing file may be fetched.

    Raises:
        ConfigError: ``download`` is no truth value.
        DataError: a file is missing and cannot be got, or is not what its publisher wrote.
    """
    if not isinstance(download, bool):
        raise ConfigError(f"dataset.download={download!r}: expected true or false")
    return [_ensured(root, file, dataset, download) for file in files]


def google_drive(identifier: str) -> str:
    """Return the address of a file that lies in a public Google Drive folder."""
    return f"https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t"


def _ensured(root: Path, file: RemoteFile, dataset: str, may_download: bool) -> Path:
    if found := _standing(root, file.name):
        _check_size(found, file, _advice(root, file, dataset))
        return found
    if not _standing(root, file.archive):
        _require_download(root, file, dataset, may_download)
    place = _places.writable(root)
    target = place / file.name
    try:
        with _places.lock(target):
            # Another process may have brought it while this one waited.
            if not target.exists():
                _bring(root, file, place)
    except Failed as failure:
        raise DataError(f"{file.name} could not be got: {failure}; {_advice(root, file, dataset)}") from None
    except OSError as error:
        reason = _places.why_not_written(error)
        raise DataError(f"{target} could not be written: {reason}; {_advice(root, file, dataset)}") from None
    return target


def _standing(root: Path, name: str | None) -> Path | None:
    """Return the first of the places that holds ``name``."""
    if name is None:
        return None
    return next((place / name for place in _places.places(root) if os.path.exists(place / name)), None)


def _check_size(found: Path, file: RemoteFile, advice: str) -> None:
    # What stands under a file's own name was whole when it was fetched; a person's copy may not have been.
    if file.archive is None and file.size is not None and found.stat().st_size != file.size:
        raise DataError(
            f"{found} has {found.stat().st_size:,} bytes; expected the {file.size:,} that were published: "
            f"remove it and {advice}"
        )


def _require_download(root: Path, file: RemoteFile, dataset: str, may_download: bool) -> None:
    if not file.urls:
        raise DataError(f"{root / file.name} is missing and has no public download: {file.ask}, and put it there")
    if not may_download:
        raise DataError(
            f"{root / file.name} is missing: run `{_command(root, dataset)}`, or give data_root=FOLDER or set "
            "HFVAE_DATA to the folder that holds it"
        )


def _bring(root: Path, file: RemoteFile, place: Path) -> None:
    """Has the file stand below ``place``, from a download or from an archive that lies there already."""
    content = Content(file.sha256, file.md5, file.size, file.limit)
    if file.archive is None:
        fetch(file.urls, place / file.name, content)
        return
    given = _standing(root, file.archive)
    archive = given or place / file.archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    if not given:
        fetch(file.urls, archive, content)
    try:
        if given:
            content.check(archive)
        unpack(archive, place / file.name, member=file.member, limit=file.limit)
    except Failed as failure:
        if not given:
            archive.unlink()
        raise Failed(f"{archive}: {failure}") from None
    if not given:
        archive.unlink()


def _advice(root: Path, file: RemoteFile, dataset: str) -> str:
    return f"try `{_command(root, dataset)}`, or put the published file at {root / (file.archive or file.name)}"


def _command(root: Path, dataset: str) -> str:
    return f"python scripts/fetch_data.py {dataset} --data-root {shlex.quote(str(root))}"
