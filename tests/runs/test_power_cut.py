"""What is left of a run after a power cut is only what was flushed; from that it goes on to the bit."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparing import same_to_the_bit
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.runs import single
from hfvae_runner.storage import run_folder

OVERRIDES = (
    *("device=cpu", "threads=1", "image_size=8", "batch_size=128", "train.progress=false", "metrics.figures=false"),
    *("metrics=[active_units]", "metrics.exact_limit=1e6", "train.log_every=2", "checkpoints.every=3", "steps=7"),
    *("metrics.every=4", "resume=auto"),
)

pytestmark = pytest.mark.usefixtures("one_thread")


class Disk:
    """A disk that keeps of a file what it held at its last flush, and of a folder the names at its own.

    Worse than real ones, which may keep more. Watches ``os.fsync``.
    """

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.folders: dict[str, dict[str, int]] = {}
        self.real = os.fsync

    def fsync(self, descriptor: int) -> None:
        self.real(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self.folders[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.files[os.fstat(descriptor).st_ino] = Path(path).read_bytes()

    def restore(self, folder: Path, to: Path) -> None:
        """Writes what survived of the folder to another place."""
        to.mkdir()
        for name, inode in self.folders.get(str(folder), {}).items():
            if str(folder / name) in self.folders or (folder / name).is_dir():
                self.restore(folder / name, to / name)
            else:
                (to / name).write_bytes(self.files.get(inode, b""))


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Path]]]:
    """A whole run, and what a cut after each of its flushes would have left."""
    home = tmp_path_factory.mktemp("power")
    folder, disk, left = home / "whole", Disk(), []

    def fsync(descriptor: int) -> None:
        disk.fsync(descriptor)
        if folder.name in disk.folders.get(str(home), {}):
            left.append(home / f"cut_{len(left)}")
            disk.restore(folder, left[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        single.run(schema.parse(resolved(*OVERRIDES)), folder)
    yield folder, left
    shutil.rmtree(home)


def test_what_survives_goes_on_to_the_bit(cuts: tuple[Path, list[Path]]) -> None:
    whole, left = cuts
    standings = [run_folder.inspect(each) for each in left]
    assert {"leftover", "resumable", "finished"} == set(standings)
    assert standings == sorted(standings, key=("leftover", "resumable", "finished").index), "never taken back"
    for each, standing in zip(left, standings, strict=True):
        if standing != "finished":
            single.run(schema.parse(resolved(*OVERRIDES)), each)
        same_to_the_bit(each, whole)
