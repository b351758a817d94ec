"""Archives as they should be, and as nobody should unpack them."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hfvae_runner.data._download import Failed
from hfvae_runner.data._unpack import unpack

FILES = {"cars/a.mat": b"a" * 3000, "cars/deep/b.mat": b"b" * 2000, "read me.txt": b"hello"}


def tarred(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


WRITERS: dict[str, Callable[[Path, dict[str, bytes]], None]] = {"c.tar": tarred, "c.tar.gz": tarred, "c.zip": zipped}
each_kind = pytest.mark.parametrize("kind", WRITERS)


def unpacked(archive: Path, member: str = "", limit: int = 10_000) -> dict[str, bytes]:
    target = archive.parent / "target"
    unpack(archive, target, member=member, limit=limit)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def refusal(archive: Path, member: str = "", limit: int = 10_000) -> str:
    """Why the archive was refused; nothing is left of it anywhere near."""
    before = set(archive.parent.parent.rglob("*"))
    with pytest.raises(Failed) as caught:
        unpacked(archive, member, limit)
    assert set(archive.parent.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@each_kind
def test_everything(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    assert unpacked(tmp_path / kind) == FILES


@each_kind
def test_one_folder(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, {f"./{name}": content for name, content in FILES.items()})
    assert unpacked(tmp_path / kind, "cars") == {"a.mat": FILES["cars/a.mat"], "deep/b.mat": FILES["cars/deep/b.mat"]}


@each_kind
def test_one_file(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    unpack(tmp_path / kind, tmp_path / "a.mat", member="cars/a.mat", limit=3000)
    assert (tmp_path / "a.mat").read_bytes() == FILES["cars/a.mat"]


@each_kind
def test_what_a_killed_run_left_is_cleared_away(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    (tmp_path / ".target.unpacking").mkdir()
    (tmp_path / ".target.unpacking" / "half").touch()
    assert unpacked(tmp_path / kind) == FILES
    assert {path.name for path in tmp_path.iterdir()} == {kind, "target"}


@each_kind
def test_a_member_that_is_not_there(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    assert refusal(tmp_path / kind, "chairs") == "it holds no chairs"
    WRITERS[kind](tmp_path / kind, {})
    assert refusal(tmp_path / kind) == "it is empty"


@each_kind
@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "cars/../../evil", "..\\evil", "C:\\evil", "C:evil"])
def test_a_member_that_points_outside(kind: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    WRITERS[kind](folder / kind, {**FILES, name: b"evil"})
    assert "points outside its folder" in refusal(folder / kind)
    assert "points outside its folder" in refusal(folder / kind, "cars")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_tar_with_a_link_or_a_device(kind: bytes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("cars/link")
    link.type, link.linkname = kind, "/etc/passwd"
    tarred(tmp_path / "c.tar", FILES, link)
    assert refusal(tmp_path / "c.tar") == "its member 'cars/link' is neither a file nor a folder"


def test_a_zip_with_a_link(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refusal(tmp_path / "c.zip") == "its member 'link' is neither a file nor a folder"


@each_kind
def test_more_than_is_allowed(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    assert refusal(tmp_path / kind, limit=5004) == "it unpacks to more bytes than are allowed"
    assert unpacked(tmp_path / kind, limit=5005) == FILES


def test_a_compressed_file_larger_than_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(5000)))
    assert refusal(tmp_path / "a.gz", limit=4999) == "it unpacks to more bytes than are allowed"


@each_kind
@pytest.mark.parametrize("keep", [0, 10, 0.2, 0.7])
def test_an_archive_that_is_cut_off(kind: str, keep: float, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / kind, FILES)
    content = (tmp_path / kind).read_bytes()
    # A tar ends in 10,240-byte records, mostly padding: its members are what is cut.
    end = 7000 if kind == "c.tar" else len(content)
    (tmp_path / kind).write_bytes(content[: int(keep if keep >= 1 else keep * end)])
    assert "it is cut off or corrupt" in refusal(tmp_path / kind)


@each_kind
def test_an_archive_that_is_none(kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).write_bytes(b"<html>no archive</html>" * 99)
    assert "it is cut off or corrupt" in refusal(tmp_path / kind)


def test_a_flipped_bit(tmp_path: Path) -> None:
    for name in ("c.zip", "c.tar.gz"):
        WRITERS[name](tmp_path / name, {"a": bytes(range(256)) * 9})
        content = bytearray((tmp_path / name).read_bytes())
        content[100] ^= 1
        (tmp_path / name).write_bytes(content)
        assert "it is cut off or corrupt" in refusal(tmp_path / name)


def test_a_tar_that_ends_between_two_members(tmp_path: Path) -> None:
    tarred(tmp_path / "c.tar", {"a": bytes(512), "b": bytes(512)})
    content = (tmp_path / "c.tar").read_bytes()
    (tmp_path / "c.tar").write_bytes(content[:1024])
    assert "it is cut off or corrupt (unexpected end of data)" in refusal(tmp_path / "c.tar")


def test_a_tar_with_a_corrupt_header(tmp_path: Path) -> None:
    tarred(tmp_path / "c.tar", {"a": bytes(512), "b": b"b" * 512})
    content = bytearray((tmp_path / "c.tar").read_bytes())
    content[1024:1034] = b"0123456789"
    (tmp_path / "c.tar").write_bytes(content)
    assert "it is cut off or corrupt (a member has no valid header)" in refusal(tmp_path / "c.tar")


def test_an_encrypted_zip(tmp_path: Path) -> None:
    zipped(tmp_path / "c.zip", FILES)
    content = bytearray((tmp_path / "c.zip").read_bytes())
    # The flag of encryption, in the first member's own header and in the directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "c.zip").write_bytes(content)
    assert "it cannot be unpacked" in refusal(tmp_path / "c.zip")
