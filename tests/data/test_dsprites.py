"""dSprites' two file formats, on small files written here (github.com/google-deepmind/dsprites-dataset)."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from published import dsprites_arrays, random_bytes, write_dsprites

from hfvae_runner.data import Dataset, PackedBits
from hfvae_runner.data import dsprites as module
from hfvae_runner.data.dsprites import dsprites
from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.launch import main

KINDS = pytest.mark.parametrize("kind", ["npz", "hdf5"])


def read(root: Path, *, image_size: int | None = None, subset: int | None = None) -> Dataset:
    return dsprites(root=str(root), image_size=image_size, download=False, subset=subset)


def test_the_published_grid() -> None:
    assert len(module.GRID) == 737_280
    assert module.GRID.names == ("shape", "scale", "orientation", "x", "y")
    assert module.GRID.nuisance == ("shape",)


@KINDS
def test_images_and_factors_as_published(kind: str, shrunk: Path) -> None:
    write_dsprites(shrunk, kind)
    arrays = dsprites_arrays()
    n = len(arrays["imgs"])
    dataset = read(shrunk)
    train = dataset.train
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((1, 64, 64), "unit_interval", module.GRID)
    assert isinstance(train.x, PackedBits)
    assert np.array_equal(train.x[torch.arange(n)][:, 0].numpy(), 255 * arrays["imgs"])
    assert train.factors is not None and train.labels is not None
    assert train.factors.dtype == torch.int16
    assert np.array_equal(train.factors.numpy(), arrays["latents_classes"][:, 1:])
    assert dataset.label_names == ("square", "ellipse", "heart")
    assert np.array_equal(train.labels.numpy(), arrays["latents_classes"][:, 1])
    assert len(dataset.test) == n
    assert "the papers train on all images" in dataset.notes["test"]


@KINDS
def test_pieces_of_any_size_give_the_same(kind: str, shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_dsprites(shrunk, kind)
    whole = list(module._packed(file))
    monkeypatch.setattr(module, "_PIECE", 37)
    pieces = list(module._packed(file))
    assert (len(whole), len(pieces)) == (1, 4)
    assert np.array_equal(np.concatenate(pieces), whole[0])


def test_a_converted_copy_is_used_as_long_as_the_file_is_the_same(shrunk: Path) -> None:
    file = write_dsprites(shrunk)
    read(shrunk)
    (copy,) = (shrunk / "converted").glob("dsprites-*.npy")
    made = copy.stat().st_mtime_ns
    read(shrunk)
    assert copy.stat().st_mtime_ns == made
    file.unlink()
    write_dsprites(shrunk, imgs=1 - dsprites_arrays()["imgs"])
    changed = read(shrunk).train.x[torch.tensor([0])]
    assert np.array_equal(changed[0, 0].numpy(), 255 - 255 * dsprites_arrays()["imgs"][0])


def test_a_subset(shrunk: Path) -> None:
    write_dsprites(shrunk)
    dataset = read(shrunk, subset=20)
    assert (len(dataset.train), len(dataset.test)) == (20, 20)
    assert isinstance(dataset.train.x, PackedBits)
    assert dataset.notes["subset"] == "20 random examples of 144"
    with pytest.raises(ConfigError, match=r"dataset.subset=145"):
        read(shrunk, subset=145)


def test_another_size_is_refused(shrunk: Path) -> None:
    with pytest.raises(ConfigError, match=r"image_size=32: .*expected 64 or null"):
        read(shrunk, image_size=32)


def test_a_missing_file_is_named(shrunk: Path) -> None:
    with pytest.raises(DataError, match=r"x32y32_64x64.hdf5 is missing: run `python scripts/fetch_data.py dsprites"):
        read(shrunk)


def test_a_file_of_another_grid_is_not_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    published = module.GRID
    with monkeypatch.context() as patch:
        patch.setattr(module, "GRID", module.Grid(published.names, (1, 2, 3, 2, 2)))
        write_dsprites(tmp_path)
    with pytest.raises(
        DataError, match=r"imgs is uint8 of shape \(24, 64, 64\); expected uint8 of shape \(737280, 64, 64\)"
    ):
        read(tmp_path)


CHANGED: dict[str, tuple[Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], str]] = {
    "grey": (lambda a: {"imgs": 2 * a["imgs"]}, "imgs holds the value 2; expected 0 and 1"),
    "bool": (lambda a: {"imgs": a["imgs"] > 0}, "imgs is bool of shape"),
    "one less": (lambda a: {"imgs": a["imgs"][1:]}, r"imgs is uint8 of shape \(143, 64, 64\); expected uint8 of shape"),
    "small": (lambda a: {"imgs": a["imgs"][:, ::2]}, r"imgs is uint8 of shape \(144, 32, 64\)"),
    "int32": (lambda a: {"latents_classes": a["latents_classes"].astype("i4")}, "classes is int32 of shape"),
    "no colour": (lambda a: {"latents_classes": a["latents_classes"][:, 1:]}, r"classes is int64 of shape \(144, 5\)"),
    "order": (
        lambda a: {"latents_classes": a["latents_classes"][::-1].copy()},
        r"example 0 has the latent classes \[0, 2, 1, 3, 2, 1\]; expected \[0, 0, 0, 0, 0, 0\]",
    ),
    "colours": (
        lambda a: {"latents_classes": a["latents_classes"] + np.eye(6, dtype=int)[0]},
        r"example 0 has the latent classes \[1, 0, 0, 0, 0, 0\]",
    ),
}


@KINDS
@pytest.mark.parametrize("case", CHANGED)
def test_other_content_is_named(case: str, kind: str, shrunk: Path) -> None:
    change, message = CHANGED[case]
    write_dsprites(shrunk, kind, **change(dsprites_arrays()))
    assert_refused(shrunk, message)


@KINDS
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: b"<html>404 Not Found</html>" * 100,
    ],
    ids=["half", "one byte less", "empty", "html"],
)
def test_a_damaged_file_is_named(spoil: Callable[[bytes], bytes], kind: str, shrunk: Path) -> None:
    file = write_dsprites(shrunk, kind)
    file.write_bytes(spoil(file.read_bytes()))
    assert_refused(shrunk, f"{kind} is malformed .*; expected dSprites as published: fetch it again")


def test_bytes_changed_on_the_way_are_noticed(shrunk: Path) -> None:
    file = write_dsprites(shrunk)
    np.savez(file, **dsprites_arrays())
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo("imgs.npy").header_offset + 5000
    content[start] ^= 1
    file.write_bytes(content)
    assert_refused(shrunk, "Bad CRC-32")


def test_missing_entries_are_named(shrunk: Path) -> None:
    file = write_dsprites(shrunk)
    np.savez(file, images=dsprites_arrays()["imgs"])
    assert_refused(shrunk, "no item named 'imgs.npy'")
    file.unlink()
    with h5py.File(write_dsprites(shrunk, "hdf5"), "a") as opened:
        del opened["latents/classes"]
    assert_refused(shrunk, "classes")


def test_images_stored_by_columns_are_refused(shrunk: Path) -> None:
    write_dsprites(shrunk, imgs=np.asfortranarray(dsprites_arrays()["imgs"]))
    assert_refused(shrunk, "imgs is stored column by column; expected row by row")


def test_an_array_that_lies_in_another_file_is_refused(shrunk: Path) -> None:
    file = write_dsprites(shrunk, "hdf5")
    images = random_bytes(144, 64, 64, below=2)
    images.tofile(shrunk / "elsewhere")
    with h5py.File(file, "a") as opened:
        del opened["imgs"]
        elsewhere = [(str(shrunk / "elsewhere"), 0, images.nbytes)]
        opened.create_dataset("imgs", images.shape, images.dtype, external=elsewhere)
    assert_refused(shrunk, "imgs is stored in another file")


def assert_refused(root: Path, message: str) -> None:
    """In one line that names the file, and without leaving a copy."""
    with pytest.raises(DataError, match=message) as refusal:
        read(root)
    assert "\n" not in str(refusal.value)
    assert "dsprites_ndarray_co1sh3sc6or40x32y32_64x64." in str(refusal.value)
    assert not list(root.glob("converted/*.npy"))


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_whole_run(shrunk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dsprites(shrunk)
    settings = ("steps=3", "batch_size=32", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    code = main(["dataset=dsprites", f"data_root={shrunk}", "model=mlp_mnist", "objective=beta_tcvae", *settings])
    assert code == 0, capsys.readouterr().err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["run"]["dataset"] == "dsprites"
    assert metrics["test"]["examples"] == 144
    assert (Path("run") / "figures" / "reconstructions.png").is_file()
