"""The file of 3D Shapes, on small ones written here (github.com/google-deepmind/3d-shapes)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from comparing import same_to_the_bit
from launching import resolved
from published import shapes3d_arrays, write_shapes3d
from publisher import publishing

from hfvae_runner.config import schema
from hfvae_runner.data import Dataset, _image_grid
from hfvae_runner.data import shapes3d as module
from hfvae_runner.data._dataset import resized
from hfvae_runner.data._examples import Rows
from hfvae_runner.data.shapes3d import shapes3d
from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.launch import main
from hfvae_runner.runs import assembly, single


def read(root: Path, *, image_size: int | None = None, subset: int | None = None) -> Dataset:
    return shapes3d(root=str(root), image_size=image_size, download=False, subset=subset)


def assert_refused(root: Path, message: str) -> None:
    """In one line that names the file, and without leaving a copy."""
    with pytest.raises(DataError, match=message) as refusal:
        read(root)
    assert "\n" not in str(refusal.value)
    assert str(root / "3dshapes.h5") in str(refusal.value)
    assert not [path for path in root.glob("converted/*shapes3d*") if path.suffix != ".lock"]


def test_the_published_grid() -> None:
    assert module.GRID.names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert (len(module.GRID), module.GRID.nuisance) == (480_000, ())
    (file,) = module.FILES
    assert file.urls == ("https://storage.googleapis.com/3d-shapes/3dshapes.h5",)


@pytest.mark.parametrize("chunks", [(25, 32, 32, 1), (20_000, 64, 64, 3), None], ids=["small", "large", "none"])
def test_images_and_factors_as_published(
    chunks: tuple[int, ...] | None, shrunk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE", 50)
    arrays = shapes3d_arrays()
    n = len(arrays["labels"])
    write_shapes3d(shrunk, None if chunks is None else (min(chunks[0], n), *chunks[1:]))
    dataset = read(shrunk)
    train = dataset.train
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((3, 64, 64), "unit_interval", module.GRID)
    assert isinstance(train.x, Rows) and len(train) == n == 96
    assert np.array_equal(train.x[torch.arange(n)].numpy(), arrays["images"].transpose(0, 3, 1, 2))
    assert train.factors is not None and train.labels is not None
    assert torch.equal(module.GRID.to_index(train.factors), torch.arange(n))
    orientations = np.linspace(-30, 30, 15)[train.factors[:, 5].numpy()]
    assert np.array_equal(orientations, arrays["labels"][:, 5])
    assert dataset.label_names is not None
    assert [dataset.label_names[label] for label in train.labels[:12:3]] == ["cube", "cylinder", "sphere", "capsule"]
    assert "the papers train on all images" in dataset.notes["test"]


def test_a_converted_copy_is_made_once(shrunk: Path) -> None:
    write_shapes3d(shrunk)
    read(shrunk)
    (copy,) = (shrunk / "converted").glob("shapes3d-*.npy")
    made = copy.stat().st_mtime_ns
    read(shrunk)
    assert copy.stat().st_mtime_ns == made


def test_another_size_and_a_subset(shrunk: Path) -> None:
    write_shapes3d(shrunk)
    dataset = read(shrunk, image_size=32, subset=10)
    assert (dataset.input_shape, len(dataset.train)) == ((3, 32, 32), 10)
    assert isinstance(dataset.train.x, Rows), "a part is not copied either"
    assert dataset.train.factors is not None
    whole = torch.from_numpy(shapes3d_arrays()["images"].transpose(0, 3, 1, 2).copy())
    expected = resized(whole[module.GRID.to_index(dataset.train.factors)], 32)
    assert torch.equal(dataset.train.x[torch.arange(10)], expected)
    with pytest.raises(ConfigError, match="image_size=65: expected a whole number of pixels from 4 to 64"):
        read(shrunk, image_size=65)


def test_a_missing_file_is_named(shrunk: Path) -> None:
    with pytest.raises(DataError, match=r"3dshapes.h5 is missing: run `python scripts/fetch_data.py shapes3d"):
        read(shrunk)


def test_the_file_is_fetched_and_its_checksum_compared(shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_shapes3d(shrunk / "publisher").read_bytes()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with publishing() as publisher:
        publisher.files["3dshapes.h5"] = content
        (file,) = (replace(each, urls=(publisher.url("3dshapes.h5"),)) for each in module.FILES)
        monkeypatch.setattr(module, "FILES", (file,))
        arguments = {"root": str(shrunk), "image_size": None, "download": True}
        with pytest.raises(DataError, match=r"its md5 checksum is .*; expected 099a2078d58cec4daad0702c55d06868"):
            shapes3d(**arguments)
        monkeypatch.setattr(module, "FILES", (replace(file, md5=hashlib.md5(content).hexdigest()),))
        assert len(shapes3d(**arguments).train) == 96


def relabelled(labels: np.ndarray, example: int, factor: int, value: float) -> dict[str, np.ndarray]:
    changed = labels.copy()
    changed[example, factor] = value
    return {"labels": changed}


Arrays = dict[str, np.ndarray]
CHANGED: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "order": (
        lambda a: {"labels": a["labels"][::-1].copy()},
        r"example 0 has the labels \[0.1, .*\], the classes \[1, 1, 0, 1, 3, 2\]; expected the classes \[0, 0, 0, 0, ",
    ),
    "one label": (lambda a: relabelled(a["labels"], 40, 4, 2), r"example 40 has the labels .*; expected the classes"),
    "another value": (
        lambda a: relabelled(a["labels"], 40, 3, 7),
        "labels has 3 different values of scale; expected 2",
    ),
    "nan": (lambda a: relabelled(a["labels"], 3, 5, np.nan), "labels holds NaN or infinity"),
    "whole numbers": (lambda a: {"labels": a["labels"].astype("i8")}, "labels is int64 of shape"),
    "one factor less": (lambda a: {"labels": a["labels"][:, 1:]}, r"labels is float64 of shape \(96, 5\); expected"),
    "one image less": (lambda a: {"images": a["images"][1:]}, r"images is uint8 of shape \(95, 64, 64, 3\); expected"),
    "channels first": (
        lambda a: {"images": a["images"].transpose(0, 3, 1, 2)},
        r"images is uint8 of shape \(96, 3, 64, 64\); expected uint8 of shape \(96, 64, 64, 3\)",
    ),
    "floats": (lambda a: {"images": a["images"] / np.float32(255)}, "images is float32 of shape"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_content_is_named(case: str, shrunk: Path) -> None:
    change, message = CHANGED[case]
    write_shapes3d(shrunk, None, **change(shapes3d_arrays()))
    assert_refused(shrunk, message)


def test_a_file_of_another_grid_is_not_the_published_one(shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shapes3d(shrunk)
    monkeypatch.setattr(module, "GRID", replace(module.GRID, sizes=(10, 10, 10, 8, 4, 15)))
    assert_refused(shrunk, r"labels is float64 of shape \(96, 6\); expected float64 of shape \(480000, 6\)")


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_cut_off_file_is_named(kept: int, shrunk: Path) -> None:
    file = write_shapes3d(shrunk)
    file.write_bytes(file.read_bytes()[:kept])
    assert_refused(shrunk, "3dshapes.h5 is malformed .*; expected 3dshapes.h5 as published: fetch it again")


def test_missing_arrays_are_named(shrunk: Path) -> None:
    for key in ("images", "labels"):
        with h5py.File(write_shapes3d(shrunk), "a") as opened:
            del opened[key]
        assert_refused(shrunk, key)


def test_an_array_that_lies_in_another_file_is_refused(shrunk: Path) -> None:
    other = write_shapes3d(shrunk / "other")
    with h5py.File(write_shapes3d(shrunk), "a") as opened:
        del opened["images"]
        opened["images"] = h5py.ExternalLink(str(other), "images")
    assert_refused(shrunk, "images is stored in another file")


def test_without_room_nothing_is_written(shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shapes3d(shrunk)

    def full(folder: Path, size: int | None) -> None:
        if size is not None:
            raise OSError(28, f"{size:,} bytes needed")

    monkeypatch.setattr("hfvae_runner.data._places.require_space", full)
    with pytest.raises(DataError, match=r"shapes3d, could not be written: the disk is full: 1,179,648 bytes needed"):
        read(shrunk)
    assert not list(shrunk.glob("converted/*.npy"))


@pytest.mark.usefixtures("one_thread")
def test_a_run_does_not_depend_on_where_the_images_are(
    shrunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shapes3d(shrunk)
    settings = ("steps=3", "batch_size=16", "device=cpu", "train.progress=false", "metrics.figures=false")
    config = schema.parse(resolved("dataset=shapes3d", f"data_root={shrunk}", "objective=beta_tcvae", *settings))
    single.run(config, tmp_path / "on disk")
    assembly._dataset.cache_clear()
    monkeypatch.setattr(_image_grid, "on_disk", lambda path, shape: torch.from_numpy(np.load(path)))
    single.run(config, tmp_path / "in memory")
    assert isinstance(assembly.dataset_of(config).train.x, torch.Tensor)
    assembly._dataset.cache_clear()
    same_to_the_bit(tmp_path / "on disk", tmp_path / "in memory")


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_whole_run(shrunk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shapes3d(shrunk)
    settings = ("steps=2", "batch_size=16", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    biased = "dataset.sampling={preset: D, factors: [scale, orientation]}"
    held = "dataset.holdout={all: [{factor: floor_hue, equals: 1}, {label: sphere}]}"
    chosen = ("dataset=shapes3d", f"data_root={shrunk}", "objective=beta_vae", "metrics.figures=false")
    assert main([*chosen, biased, held, *settings]) == 0, capsys.readouterr().err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert [metrics[part]["examples"] for part in ("train", "holdout", "test")] == [84, 12, 96]
    assert "configuration D" in metrics["dataset"]["notes"]["sampling"]
