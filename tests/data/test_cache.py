"""Converted copies: made once, whole or not at all, wherever there is room for them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.errors import DataError


def no_build(path: Path) -> None:
    raise AssertionError("it is there already")


def test_a_file_is_built_once_a_key(tmp_path: Path) -> None:
    first = cached(tmp_path, "cars.npy", ["abc", 64], lambda path: np.save(path, np.arange(3)))
    assert first.parent == tmp_path / "converted"
    assert np.load(first).tolist() == [0, 1, 2]
    assert cached(tmp_path, "cars.npy", ["abc", 64], no_build) == first
    others = [
        ("cars.npy", ["abc", 32]),
        ("cars.npy", ["abcd", 64]),
        ("cars.npy", ["abc", "64"]),
        ("b.npy", ["abc", 64]),
    ]
    paths = {cached(tmp_path, name, key, lambda path: np.save(path, np.arange(3))) for name, key in others}
    assert len(paths | {first}) == 5


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    def build(path: Path) -> None:
        path.mkdir()
        np.save(path / "images.npy", np.arange(3))

    folder = cached(tmp_path, "celeba", [1], build)
    assert [path.name for path in folder.iterdir()] == ["images.npy"]
    assert cached(tmp_path, "celeba", [1], no_build) == folder


@pytest.mark.parametrize("error", [DataError("a.png is malformed"), KeyboardInterrupt()])
def test_nothing_half_built_is_kept(error: BaseException, tmp_path: Path) -> None:
    def build(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        cached(tmp_path, "cars.npy", [1], build)
    assert [path for path in (tmp_path / "converted").iterdir() if path.suffix != ".lock"] == []


def test_what_a_killed_build_left_is_cleared_away(tmp_path: Path) -> None:
    path = cached(tmp_path, "celeba", [1], lambda path: path.mkdir())
    path.rename(path.with_name(f".building-{path.name}"))
    (path.with_name(f".building-{path.name}") / "half").touch()
    assert list(cached(tmp_path, "celeba", [1], lambda path: path.mkdir()).iterdir()) == []
    assert not path.with_name(f".building-{path.name}").exists()


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    def build(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError) as caught:
        cached(tmp_path, "cars.npy", [1], build)
    message = str(caught.value)
    assert f"{tmp_path / 'converted'}" in message
    assert "the converted copy of cars, could not be written: the disk is full: No space left on device" in message
    assert "\n" not in message


def test_a_disk_that_is_too_small_is_not_begun_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the disk is full: 1,000,000,000,000,000,000 bytes needed, "):
        cached(tmp_path, "cars.npy", [1], no_build, size=10**18)


def test_the_users_folder_stands_in_for_one_that_cannot_be_written(tmp_path: Path, user_folder: Path) -> None:
    # A folder below a file can be made by nobody, whatever the rights.
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "data"
    path = cached(root, "cars.npy", [1], lambda path: np.save(path, np.arange(3)))
    assert path.parent == user_folder / "data" / "converted"
    assert cached(root, "cars.npy", [1], no_build) == path


def test_what_stands_below_the_root_wins(tmp_path: Path, user_folder: Path) -> None:
    path = cached(tmp_path, "cars.npy", [1], lambda path: np.save(path, np.arange(3)))
    assert path.parent == tmp_path / "converted"
    assert not user_folder.exists()


PROGRAM = """
import multiprocessing, sys, time
from pathlib import Path
from hfvae_runner.data._cache import cached

root = Path(sys.argv[1])
processes = multiprocessing.get_context("fork")
together = processes.Barrier(2)

def build(path):
    with open(root / "log", "a") as log:
        log.write("built\\n")
    with path.open("w") as stream:
        for word in ("a", "b", "c"):
            stream.write(word)
            stream.flush()
            time.sleep(0.2)

def run(name):
    together.wait()
    (root / name).write_text(cached(root, "words.txt", [1], build).read_text())

children = [processes.Process(target=run, args=[name]) for name in ("first", "second")]
for child in children:
    child.start()
for child in children:
    child.join()
"""


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=120)
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text() == "abc"
    assert (tmp_path / "log").read_text() == "built\n"


def sources(folder: Path) -> list[Path]:
    files = [folder / "1" / "image.png", folder / "2" / "image.png"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(str(file.relative_to(folder)))
    return files


def test_a_checksum_follows_names_and_contents(tmp_path: Path) -> None:
    files = sources(tmp_path / "a")
    first = checksum(tmp_path, files)
    assert len(first) == 64
    assert checksum(tmp_path, files[::-1]) == first
    assert checksum(tmp_path, sources(tmp_path / "b")) == first
    assert checksum(tmp_path, files[:1]) != first
    one, other = (file.read_text() for file in files)
    files[0].write_text(other)
    files[1].write_text(one)
    assert checksum(tmp_path, files) != first
    files[0].write_text(one)
    files[1].write_text(other)
    assert checksum(tmp_path, files) == first


def test_a_checksum_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sources(tmp_path / "a")
    first = checksum(tmp_path, files)
    monkeypatch.setattr("hfvae_runner.data._cache.digest_of", lambda file, algorithm: "read again")
    assert checksum(tmp_path, files) == first
    os.utime(files[0], (0, 0))
    assert checksum(tmp_path, files) != first
