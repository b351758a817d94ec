"""MPI3D's files, on small ones written here (github.com/rr-learning/disentanglement_dataset)."""

import json
import weakref
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from published import mpi3d_images, write_mpi3d

from hfvae_runner.data import Dataset
from hfvae_runner.data import mpi3d as module
from hfvae_runner.data._examples import ArrayFile, Rows
from hfvae_runner.data.mpi3d import mpi3d
from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.launch import main


def read(root: Path, *, version: str = "toy", subset: int | None = None) -> Dataset:
    return mpi3d(version=version, root=str(root), image_size=None, download=False, subset=subset)


def assert_refused(root: Path, message: str) -> None:
    """In one line that names the file, and without leaving a copy."""
    with pytest.raises(DataError, match=message) as refusal:
        read(root)
    assert "\n" not in str(refusal.value)
    assert str(root / "mpi3d_toy.npz") in str(refusal.value)
    assert not [path for path in root.glob("converted/*mpi3d*") if path.suffix != ".lock"]


def test_the_published_grid() -> None:
    assert (len(module.GRID), module.GRID.sizes, module.GRID.nuisance) == (1_036_800, (6, 6, 2, 3, 3, 40, 40), ())
    assert [file.name for file in module.FILES] == ["mpi3d_toy.npz", "mpi3d_realistic.npz", "mpi3d_real.npz"]
    folder = "https://storage.googleapis.com/disentanglement_dataset/Final_Dataset"
    assert all(file.urls == (f"{folder}/{file.name}",) for file in module.FILES)
    assert len({file.md5 for file in module.FILES}) == 3


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("piece", [4096, 37])
def test_images_and_factors_as_published(
    packed: bool, piece: int, shrunk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE", piece)
    write_mpi3d(shrunk, packed=packed)
    dataset = read(shrunk)
    train, n = dataset.train, len(module.GRID)
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((3, 64, 64), "unit_interval", module.GRID)
    assert isinstance(train.x, Rows) and len(train) == n == 192
    assert np.array_equal(train.x[torch.arange(n)].numpy(), mpi3d_images().transpose(0, 3, 1, 2))
    assert train.factors is not None and train.labels is not None
    assert torch.equal(module.GRID.to_index(train.factors), torch.arange(n))
    assert dataset.label_names is not None
    assert [dataset.label_names[label] for label in train.labels[:96:16]] == list(module.SHAPES)


def test_the_versions_are_different_files(shrunk: Path) -> None:
    for version in ("toy", "real"):
        write_mpi3d(shrunk, version, mpi3d_images() // (1 + len(version)))
    images = [read(shrunk, version=version).train.x[torch.arange(3)] for version in ("toy", "real")]
    assert not torch.equal(*images)
    with pytest.raises(
        DataError, match=r"mpi3d_realistic.npz is missing: run `python scripts/fetch_data.py mpi3d=realistic"
    ):
        read(shrunk, version="realistic")
    with pytest.raises(ConfigError, match=r"dataset.version=.reel.: expected one of toy, realistic, real; .*'real'"):
        read(shrunk, version="reel")


def test_a_subset(shrunk: Path) -> None:
    write_mpi3d(shrunk)
    dataset = read(shrunk, subset=20)
    assert (len(dataset.train), len(dataset.test)) == (20, 20)
    assert isinstance(dataset.test.x, Rows), "a part is not copied"
    with pytest.raises(ConfigError, match=r"dataset.subset=193"):
        read(shrunk, subset=193)


CHANGED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "one less": (
        lambda images: images[1:],
        r"images is uint8 of shape \(191, 64, 64, 3\); expected uint8 of shape \(192",
    ),
    "grey": (lambda images: images[..., 0], r"images is uint8 of shape \(192, 64, 64\); expected"),
    "floats": (lambda images: np.zeros_like(images, "f4"), "images is float32 of shape"),
    "by columns": (np.asfortranarray, "images is stored column by column; expected row by row"),
    "objects": (lambda images: np.array([images[0], None], dtype=object), "images is object of shape"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_content_is_named(case: str, shrunk: Path) -> None:
    change, message = CHANGED[case]
    write_mpi3d(shrunk, images=change(mpi3d_images()))
    assert_refused(shrunk, message)


def test_a_file_of_another_grid_is_not_the_published_one(shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mpi3d(shrunk)
    monkeypatch.setattr(module, "GRID", replace(module.GRID, sizes=(6, 6, 2, 3, 3, 40, 40)))
    assert_refused(shrunk, r"expected uint8 of shape \(1036800, 64, 64, 3\)")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kept", [0, 0.5, 1])
def test_a_cut_off_file_is_named(kept: float, packed: bool, shrunk: Path) -> None:
    file = write_mpi3d(shrunk, packed=packed)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) - (kept == 1)])
    assert_refused(shrunk, "mpi3d_toy.npz is malformed .*; expected mpi3d_toy.npz as published: fetch it again")


def test_bytes_changed_on_the_way_are_noticed(shrunk: Path) -> None:
    file = write_mpi3d(shrunk, packed=False)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert_refused(shrunk, "Bad CRC-32")


def test_an_array_of_more_bytes_than_its_header_says_is_refused(shrunk: Path) -> None:
    file = write_mpi3d(shrunk)
    with zipfile.ZipFile(file) as archive:
        content = archive.read("images.npy")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", content + b"more")
    assert_refused(shrunk, "images has more bytes than 192 examples")


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_whole_run(shrunk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mpi3d(shrunk, "real")
    settings = ("steps=2", "batch_size=16", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    chosen = ("dataset=mpi3d", "dataset.version=real", f"data_root={shrunk}", "objective=beta_vae")
    assert main([*chosen, "metrics.figures=false", *settings]) == 0, capsys.readouterr().err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert (metrics["run"]["model"], metrics["run"]["prior"]) == ("conv_standard64", "normal")
    assert metrics["test"]["examples"] == 192


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_run_never_holds_more_images_than_a_batch(
    shrunk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mpi3d(shrunk)
    original, read_at_once, held, most_held = ArrayFile.read, [0], 0, [0]

    def release(rows: int) -> None:
        nonlocal held
        held -= rows

    def read(self: ArrayFile, rows: torch.Tensor) -> torch.Tensor:
        nonlocal held
        # Of an array one knows when the last tensor that shares its memory is gone.
        found = original(self, rows).numpy().copy()
        weakref.finalize(found, release, len(rows))
        held += len(rows)
        read_at_once.append(len(rows))
        most_held.append(held)
        return torch.from_numpy(found)

    monkeypatch.setattr(ArrayFile, "read", read)
    chosen = ("dataset=mpi3d", f"data_root={shrunk}", "model=mlp_mnist", "metrics=[mig,importance_bound]")
    few = (
        "objective=beta_vae",
        "metrics.importance_bound.samples=2",
        "metrics.importance_bound.rows=48",
        "metrics.batch_size=24",
    )
    settings = ("steps=2", "batch_size=16", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    assert main([*chosen, *few, *settings]) == 0, capsys.readouterr().err
    # Training, encoding twice all 192, the bound and the figures.
    assert sum(read_at_once) > 2 * 192
    assert max(read_at_once) <= 24
    # While a batch is read, the one before may not be gone yet.
    assert max(most_held) <= 3 * 24
