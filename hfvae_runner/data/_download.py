"""Downloads one file over HTTP: tries mirrors in turn, resumes partial downloads, checks the content."""

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

import hfvae_runner
from hfvae_runner.data import _places

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # at one address, as long as each gets further than the one before
PAUSE = 1.0  # seconds between them
_CHUNK = 2**18


class Failed(Exception):
    """A download failed; the message says why."""


@dataclass(frozen=True)
class Content:
    """The expected size and checksum of a file.

    Attributes:
        sha256: in hexadecimal, or None.
        md5: the same.
        size: in bytes, or None.
        limit: bytes that it may have at most.
    """

    sha256: str | None
    md5: str | None
    size: int | None
    limit: int

    def check(self, path: Path) -> None:
        """Raises Failed where the file at ``path`` is another."""
        found = path.stat().st_size
        if self.size is not None and found != self.size:
            raise Failed(f"it has {found:,} bytes; expected {self.size:,}")
        for algorithm, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected is not None and (digest := digest_of(path, algorithm)) != expected:
                raise Failed(f"its {algorithm} checksum is {digest}; expected {expected}")


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's checksum in hexadecimal; ``algorithm`` is ``sha256`` or ``md5``."""
    with path.open("rb") as stream:
        # A checksum is against accidents here; a Python that is set to forbid MD5 allows it for that.
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def download(urls: Sequence[str], target: Path, content: Content) -> None:
    """Download ``target`` under a temporary name until it is complete; a partial file is kept and resumed.

    Raises:
        Failed: no address gave the content expected.
        OSError: it could not be written.
    """
    partial = _Partial(target)
    reasons = []
    for url in urls:
        try:
            _from_one(url, partial, content)
        except Failed as failure:
            reasons.append(f"{url}: {failure}")
            continue
        _places.flush(partial.path)
        os.replace(partial.path, target)
        partial.forget()
        return
    raise Failed("; ".join(reasons))


class _Partial:
    """What has come of a file, and which version of it that was."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self._origin = target.with_name(f".{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str | None:
        """Return the ETag or date that what has come from ``url`` had there; None where there is nothing to go on
        with.
        """
        if not self.size or not self._origin.exists():
            return None
        try:
            origin = json.loads(self._origin.read_text(encoding="utf-8"))
        except ValueError:
            return None
        known = isinstance(origin, dict) and origin.get("url") == url and isinstance(origin.get("version"), str)
        return origin["version"] if known else None

    def start(self, url: str, headers: http.client.HTTPMessage) -> None:
        """Forgets what has come before, and notes what comes now."""
        self.forget()
        etag = headers.get("ETag", "")
        # A weak ETag does not promise the same bytes (RFC 9110, 13.1.5).
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        if version:
            self._origin.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)


def _from_one(url: str, partial: _Partial, content: Content) -> None:
    """Has the whole content in ``partial``, from one address."""
    furthest = -1
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            _attempt(url, partial, content)
            break
        except _CutOff:
            if partial.size <= furthest or attempt == ATTEMPTS - 1:
                raise
            furthest = partial.size
    try:
        content.check(partial.path)
    except Failed:
        partial.forget()
        raise


class _CutOff(Failed):
    """The connection ended before the file did: another attempt may get further."""


def _attempt(url: str, partial: _Partial, content: Content) -> None:
    headers = {"User-Agent": f"hfvae_runner/{hfvae_runner.__version__}"}
    if version := partial.version(url):
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.forget()
            raise _CutOff("what came before does not fit what is there now") from None
        raise Failed(f"HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise Failed(_words(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(_words(error)) from None
    with response:
        _receive(response, url, partial, content)


def _receive(response: http.client.HTTPResponse, url: str, partial: _Partial, content: Content) -> None:
    # Without this, a host's page of excuses would be taken for a file that has no checksum.
    if response.headers.get_content_type() == "text/html" and not url.endswith(".html"):
        raise Failed("it answers with a web page instead of the file")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        partial.start(url, response.headers)
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {partial.size}-"):
        partial.forget()
        raise _CutOff("it continues at another offset than requested")
    length = response.headers.get("Content-Length", "")
    come = partial.size
    total = come + int(length) if length.isdecimal() else None
    most = content.limit if content.size is None else content.size
    if total is not None and total > most:
        partial.forget()
        raise Failed(f"it has {total:,} bytes; expected {'at most ' if content.size is None else ''}{most:,}")
    _places.require_space(partial.path.parent, None if total is None else total - come)
    name = partial.path.name.removeprefix(".").removesuffix(".part")
    with (
        partial.path.open("ab") as stream,
        tqdm(total=total, initial=come, desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        while chunk := _read(response):
            come += len(chunk)
            if come > most:
                raise Failed(f"it has more than {most:,} bytes")
            stream.write(chunk)
            bar.update(len(chunk))
    if total is not None and come < total:
        raise _CutOff(f"cut off after {come:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the next bytes; none at the end, which may have come too early."""
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutOff(f"cut off: {_words(error)}") from None


def _words(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
