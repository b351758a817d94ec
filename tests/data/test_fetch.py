"""Files from a publisher's server that fails in every way it can."""

import errno
import gzip
import hashlib
import os
import resource
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from publisher import Publisher, publishing

from hfvae_runner.data import _download, _places
from hfvae_runner.data._fetch import RemoteFile, ensure, google_drive
from hfvae_runner.errors import ConfigError, DataError

CONTENT = bytes(range(256)) * 4000
NAME = "shapes/shapes.npz"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(_download, "PAUSE", 0)
    with publishing() as server:
        server.files["shapes.npz"] = CONTENT
        yield server


def remote(publisher: Publisher, **known: object) -> RemoteFile:
    return replace(RemoteFile(NAME, (publisher.url("shapes.npz"),), sha256=SHA256), **known)  # type: ignore[arg-type]


def got(root: Path, file: RemoteFile, download: bool = True) -> Path:
    (path,) = ensure(root, [file], dataset="shapes", download=download)
    return path


def refusal(root: Path, file: RemoteFile, download: bool = True) -> str:
    """Why the file was refused; it does not stand under its name, nor does a part of it."""
    with pytest.raises(DataError) as caught:
        got(root, file, download)
    message = str(caught.value)
    assert "\n" not in message
    assert file.name in message
    assert not (root / file.name).exists()
    assert not [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return message


def hidden(root: Path) -> set[str]:
    return {path.name for path in root.rglob(".*") if not path.name.endswith(".lock")}


def test_a_file_is_fetched_once(publisher: Publisher, tmp_path: Path) -> None:
    for _ in range(2):
        path = got(tmp_path, remote(publisher, size=len(CONTENT), md5=hashlib.md5(CONTENT).hexdigest()))
        assert path == tmp_path / NAME
        assert path.read_bytes() == CONTENT
    assert publisher.asked == [("shapes.npz", None)]
    assert not hidden(tmp_path)


def test_a_file_that_is_there_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    assert got(tmp_path, RemoteFile("a", sha256="other")).read_bytes() == b"mine"
    assert got(tmp_path, RemoteFile("a"), download=False) == tmp_path / "a"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("404", "HTTP 404 Not Found"),
        ("503", "HTTP 503"),
        ("web page", "it answers with a web page instead of the file"),
    ],
)
def test_a_publisher_without_the_file(failure: str, reason: str, publisher: Publisher, tmp_path: Path) -> None:
    publisher.failures["shapes.npz"] = [failure]
    message = refusal(tmp_path, remote(publisher))
    assert message.startswith(f"{NAME} could not be got: {publisher.url('shapes.npz')}: {reason}")
    assert f"try `python scripts/fetch_data.py shapes --data-root {tmp_path}`" in message
    assert f"or put the published file at {tmp_path / NAME}" in message
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT


def test_the_next_mirror_is_tried(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["wrong.npz"] = CONTENT[::-1]
    urls = tuple(publisher.url(path) for path in ("gone.npz", "wrong.npz", "shapes.npz"))
    assert got(tmp_path, remote(publisher, urls=urls)).read_bytes() == CONTENT
    assert [path for path, _ in publisher.asked] == ["gone.npz", "wrong.npz", "shapes.npz"]
    assert not hidden(tmp_path)


def test_nobody_answers(publisher: Publisher, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    urls = (f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b")
    message = refusal(tmp_path, remote(publisher, urls=urls))
    assert message.count("Connection refused") == 2


@pytest.mark.parametrize("failure", ["mute", "stall"])
def test_a_server_that_falls_silent(
    failure: str, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "TIMEOUT", 0.2)
    publisher.failures["shapes.npz"] = [failure] * 9
    monkeypatch.setattr(_download, "ATTEMPTS", 2)
    assert "no answer for 0.2 seconds" in refusal(tmp_path, remote(publisher))


@pytest.mark.parametrize("known", ["sha256", "md5"])
def test_a_wrong_checksum(known: str, publisher: Publisher, tmp_path: Path) -> None:
    expected = "0" * 64
    found = hashlib.new(known, CONTENT).hexdigest()
    message = refusal(tmp_path, remote(publisher, **{"sha256": None, known: expected}))
    assert f"its {known} checksum is {found}; expected {expected}" in message
    assert not hidden(tmp_path)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"size": 1_000}, "it has 1,024,000 bytes; expected 1,000"),
        ({"size": 2_000_000}, "it has 1,024,000 bytes; expected 2,000,000"),
        ({"limit": 1_000}, "it has 1,024,000 bytes; expected at most 1,000"),
    ],
)
def test_another_size(known: dict[str, int], reason: str, publisher: Publisher, tmp_path: Path) -> None:
    assert reason in refusal(tmp_path, remote(publisher, sha256=None, **known))
    assert not hidden(tmp_path)


def test_a_copy_of_another_size_is_named(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / NAME).write_bytes(b"half")
    with pytest.raises(DataError, match=r"shapes.npz has 4 bytes; expected the 1,024,000 that were published: remove"):
        got(tmp_path, remote(publisher, size=len(CONTENT)))
    assert not publisher.asked


def test_a_download_that_was_cut_off_goes_on_where_it_ended(publisher: Publisher, tmp_path: Path) -> None:
    publisher.failures["shapes.npz"] = ["cut", "cut"]
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT
    assert publisher.asked == [("shapes.npz", wanted) for wanted in (None, "bytes=512000-", "bytes=768000-")]
    assert not hidden(tmp_path)


def test_the_next_run_goes_on_where_the_last_one_ended(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "ATTEMPTS", 1)
    publisher.failures["shapes.npz"] = ["cut"]
    assert "cut off after 512,000 of 1,024,000 bytes" in refusal(tmp_path, remote(publisher))
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT
    assert publisher.asked[1:] == [("shapes.npz", "bytes=512000-")]


@pytest.mark.parametrize("lacking", ["ranges", "versioned"])
def test_a_server_that_cannot_go_on_starts_again(lacking: str, publisher: Publisher, tmp_path: Path) -> None:
    setattr(publisher, lacking, False)
    publisher.failures["shapes.npz"] = ["cut"]
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT
    assert len(publisher.asked) == 2


def test_a_version_that_does_not_promise_the_same_bytes_is_no_reason_to_go_on(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.weak = True
    publisher.failures["shapes.npz"] = ["cut"]
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT
    assert publisher.asked == [("shapes.npz", None)] * 2


def test_a_mirror_does_not_go_on_with_what_another_sent(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files["mirror.npz"] = CONTENT
    publisher.failures["shapes.npz"] = ["cut", "404"]
    urls = (publisher.url("shapes.npz"), publisher.url("mirror.npz"))
    assert got(tmp_path, remote(publisher, urls=urls)).read_bytes() == CONTENT
    assert publisher.asked[1:] == [("shapes.npz", "bytes=512000-"), ("mirror.npz", None)]


@pytest.mark.parametrize("changed", [CONTENT[::-1], CONTENT[:400_000]], ids=["same size", "shorter"])
def test_what_has_changed_meanwhile_starts_again(
    changed: bytes, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "ATTEMPTS", 1)
    publisher.failures["shapes.npz"] = ["cut"]
    refusal(tmp_path, remote(publisher, sha256=None))
    publisher.files["shapes.npz"] = changed
    assert got(tmp_path, remote(publisher, sha256=None)).read_bytes() == changed


def test_another_part_than_asked_for_is_not_pasted_in(publisher: Publisher, tmp_path: Path) -> None:
    publisher.failures["shapes.npz"] = ["cut", "shifted", "cut"]
    with pytest.raises(DataError, match="it continues at another offset than requested"):
        got(tmp_path, remote(publisher, sha256=None))
    assert got(tmp_path, remote(publisher, sha256=None)).read_bytes() == CONTENT


def test_a_run_that_ended_between_the_last_byte_and_the_new_name(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_places, "flush", killed)
        with pytest.raises(KeyboardInterrupt):
            got(tmp_path, remote(publisher))
    assert not (tmp_path / NAME).exists()
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_is_given_up(publisher: Publisher, tmp_path: Path) -> None:
    publisher.failures["shapes.npz"] = ["cut to nothing"] * 9
    assert "cut off after 0 of 1,024,000 bytes" in refusal(tmp_path, remote(publisher))
    assert len(publisher.asked) == 2


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond this, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up(publisher: Publisher, tmp_path: Path) -> None:
    with files_up_to(300_000):
        message = refusal(tmp_path, remote(publisher))
    assert f"{tmp_path / NAME} could not be written: the disk is full: " in message
    assert got(tmp_path, remote(publisher)).read_bytes() == CONTENT
    assert publisher.asked[1:] == [("shapes.npz", "bytes=300000-")]


def test_a_disk_that_is_too_small(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_places.shutil, "disk_usage", lambda folder: usage._replace(free=1_000_000))
    assert "the disk is full: 1,024,000 bytes needed, 1,000,000 free" in refusal(tmp_path, remote(publisher))


@pytest.fixture(params=["file system", "rights"])
def read_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written to, or is not meant to be: the administrator could."""
    root = tmp_path / "read-only"
    root.mkdir()

    class Refused:
        def __init__(self, dir: Path) -> None:
            if dir == root:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    if request.param == "rights":
        root.chmod(0o555)
    else:
        monkeypatch.setattr(tempfile, "TemporaryFile", Refused)
    yield root
    root.chmod(0o755)


def test_beside_a_read_only_folder_the_user_has_one(
    publisher: Publisher, read_only: Path, user_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert got(read_only, remote(publisher)) == user_folder / "data" / NAME
    assert len(publisher.asked) == 1
    assert not list(read_only.iterdir())
    assert str(read_only) in caplog.text and str(user_folder) in caplog.text


def test_nowhere_to_write(publisher: Publisher, read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_places, "user_folder", lambda: None)
    reasons = r"\((Read-only file system|Permission denied)\)"
    with pytest.raises(DataError, match=f"cannot write to .*read-only {reasons}; expected a folder"):
        got(read_only, remote(publisher))


def test_a_file_is_no_folder(publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_places, "user_folder", lambda: None)
    (tmp_path / "root").write_text("")
    with pytest.raises(DataError, match=r"cannot write to .*root \(File exists\)"):
        got(tmp_path / "root", remote(publisher))


def test_without_leave_nothing_is_fetched(publisher: Publisher, tmp_path: Path) -> None:
    message = refusal(tmp_path, remote(publisher), download=False)
    assert message.startswith(f"{tmp_path / NAME} is missing: run `python scripts/fetch_data.py shapes --data-root ")
    assert not publisher.asked
    with pytest.raises(ConfigError, match=r"dataset\.download='no': expected true or false"):
        got(tmp_path, remote(publisher), download="no")  # type: ignore[arg-type]


def test_a_set_without_an_address_says_where_to_ask(tmp_path: Path) -> None:
    message = refusal(tmp_path, RemoteFile("faces/renders.pth", ask="ask its authors at example.org"))
    path = tmp_path / "faces" / "renders.pth"
    assert message == f"{path} is missing and has no public download: ask its authors at example.org, and put it there"


def test_two_that_start_at_once_fetch_once(publisher: Publisher, tmp_path: Path) -> None:
    threads = [threading.Thread(target=got, args=(tmp_path, remote(publisher))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(publisher.asked) == 1
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_files_come_in_the_order_asked_for(publisher: Publisher, tmp_path: Path) -> None:
    publisher.files |= {"a": b"a", "b": b"b"}
    files = [RemoteFile(name, (publisher.url(name),)) for name in ("b", "a")]
    assert [path.name for path in ensure(tmp_path, files, dataset="letters", download=True)] == ["b", "a"]


def compressed(publisher: Publisher, **known: object) -> RemoteFile:
    publisher.files["a.gz"] = gzip.compress(CONTENT)
    return RemoteFile("raw/a", (publisher.url("a.gz"),), archive="raw/a.gz", **known)  # type: ignore[arg-type]


def test_a_compressed_file_is_unpacked_and_removed(publisher: Publisher, tmp_path: Path) -> None:
    assert got(tmp_path, compressed(publisher)).read_bytes() == CONTENT
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {"a", ".a.lock"}


def test_a_persons_own_archive_is_used_and_stays(publisher: Publisher, tmp_path: Path) -> None:
    file = compressed(publisher)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.gz").write_bytes(publisher.files["a.gz"])
    assert got(tmp_path, file, download=False).read_bytes() == CONTENT
    assert (tmp_path / "raw" / "a.gz").exists()
    assert not publisher.asked


@pytest.mark.parametrize(
    ("known", "reason"),
    [({"sha256": "0" * 64}, "its sha256 checksum is"), ({}, "it is cut off or corrupt"), ({"size": 9}, "expected 9")],
)
def test_a_persons_own_archive_is_not_what_was_published(
    known: dict[str, object], reason: str, publisher: Publisher, tmp_path: Path
) -> None:
    file = compressed(publisher, **known)
    archive = tmp_path / "raw" / "a.gz"
    archive.parent.mkdir()
    archive.write_bytes(publisher.files["a.gz"][:-20])
    with pytest.raises(DataError, match=rf"raw/a could not be got: {archive}: .*{reason}"):
        got(tmp_path, file)
    assert not (tmp_path / "raw" / "a").exists()
    assert archive.exists()


def test_a_published_archive_that_is_cut_off(publisher: Publisher, tmp_path: Path) -> None:
    file = compressed(publisher)
    publisher.files["a.gz"] = publisher.files["a.gz"][:-20]
    assert "raw/a.gz: it is cut off or corrupt" in refusal(tmp_path, file)


def test_a_file_of_google_drive() -> None:
    assert google_drive("abc").startswith("https://drive.usercontent.google.com/download?id=abc&")
