"""SmallNORB's binary matrices, on small files written here (cs.nyu.edu/~ylclab/data/norb-v1.0-small)."""

import gzip
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from published import binary_matrix, smallnorb_arrays, smallnorb_file, write_smallnorb

from hfvae_runner.data import Dataset
from hfvae_runner.data import smallnorb as module
from hfvae_runner.data._dataset import resized
from hfvae_runner.data.smallnorb import smallnorb
from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.launch import main


def read(root: Path, *, image_size: int | None = None, subset: int | None = None) -> Dataset:
    return smallnorb(root=str(root), image_size=image_size, download=False, subset=subset)


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "\n" not in message
    assert not list(root.glob("converted/smallnorb*"))
    return message


def test_the_published_facts() -> None:
    assert module.FACTORS.names == ("category", "instance", "elevation", "azimuth", "lighting")
    assert module.FACTORS.sizes == (5, 10, 9, 18, 6)
    assert module.FACTORS.nuisance == ("instance",)
    assert module._examples() == 24_300
    assert len(module.FILES) == 6 and all(file.sha256 is not None for file in module.FILES)
    assert module.FILES[0].urls[0].endswith("/smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat.gz")


def test_images_and_factors_as_published(shrunk: Path) -> None:
    write_smallnorb(shrunk)
    dataset = read(shrunk)
    assert (dataset.input_shape, dataset.values) == ((1, 64, 64), "unit_interval")
    assert dataset.label_names == ("animal", "human", "airplane", "truck", "car")
    for number, split in enumerate((dataset.train, dataset.test)):
        arrays = smallnorb_arrays(number)
        n = len(arrays["cat"])
        assert split.factors is not None and split.labels is not None and len(split) == n == 150
        expected = np.column_stack([arrays["cat"], arrays["info"] // [1, 1, 2, 1]])
        assert np.array_equal(split.factors.numpy(), expected)
        assert np.array_equal(split.labels.numpy(), arrays["cat"])
        left = resized(torch.from_numpy(arrays["dat"][:, :1].copy()), 64)
        assert torch.equal(split.x[torch.arange(n)], left)


def test_no_object_is_in_both_splits(shrunk: Path) -> None:
    write_smallnorb(shrunk)
    dataset = read(shrunk)
    train, test = (split.factors for split in (dataset.train, dataset.test))
    assert train is not None and test is not None
    assert not set(train[:, 1].tolist()) & set(test[:, 1].tolist())
    assert "other instances" in dataset.notes["instance"]


def test_the_size_of_the_files_and_a_subset(shrunk: Path) -> None:
    write_smallnorb(shrunk)
    dataset = read(shrunk, image_size=96, subset=20)
    assert (dataset.input_shape, len(dataset.train), len(dataset.test)) == ((1, 96, 96), 20, 20)
    assert torch.equal(read(shrunk, image_size=96).train.x[:, 0], torch.from_numpy(smallnorb_arrays(0)["dat"][:, 0]))
    with pytest.raises(ConfigError, match="image_size=97: expected a whole number of pixels from 4 to 96"):
        read(shrunk, image_size=97)


def test_packed_files_are_unpacked_and_checked(shrunk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_smallnorb(shrunk)
    plain = read(shrunk).test.x[torch.arange(150)]
    published = []
    for file in module.FILES:
        path = shrunk / file.name
        packed = gzip.compress(path.read_bytes(), mtime=0)
        (shrunk / str(file.archive)).write_bytes(packed)
        path.unlink()
        published.append(replace(file, size=len(packed), sha256=hashlib.sha256(packed).hexdigest()))
    monkeypatch.setattr(module, "FILES", tuple(published))
    assert torch.equal(read(shrunk).test.x[torch.arange(150)], plain)
    # An archive with other content is not unpacked.
    (shrunk / published[2].name).unlink()
    (shrunk / str(published[2].archive)).write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match=r"training-info.mat could not be got: .*; expected"):
        read(shrunk)


def test_a_missing_file_is_named(shrunk: Path) -> None:
    write_smallnorb(shrunk)
    smallnorb_file(shrunk, 1, "cat").unlink()
    assert "testing-cat.mat is missing: run `python scripts/fetch_data.py smallnorb" in refusal(shrunk)


def spoilt(values: np.ndarray, column: int | None, value: int) -> np.ndarray:
    changed = values.copy()
    changed[7 if column is None else (7, column)] = value
    return changed


CHANGED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "one less": ("dat", lambda a: a[1:], "holds uint8 of shape (149, 2, 96, 96); expected uint8 of shape (150, 2, 96"),
    "one image": ("dat", lambda a: a[:, 0], "holds uint8 of shape (150, 96, 96)"),
    "kind": ("cat", lambda a: a.astype("<i2"), "holds int16 of shape (150,); expected int32 of shape (150,)"),
    "category": ("cat", lambda a: spoilt(a, None, 5), "has category 5; expected 0, 1, 2, 3, 4"),
    "instance": ("info", lambda a: spoilt(a, 0, 3), "has instance 3; expected 4, 6, 7, 8, 9"),
    "odd azimuth": ("info", lambda a: spoilt(a, 2, 1), "has azimuth 1; expected 0, 2, 4"),
    "negative": ("info", lambda a: spoilt(a, 1, -1), "has elevation -1; expected 0, 1"),
    "twice": ("info", lambda a: a[np.r_[0, 0, 2:150]], "expected one: remove it"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_content_is_named(case: str, shrunk: Path) -> None:
    part, change, message = CHANGED[case]
    write_smallnorb(shrunk)
    arrays = smallnorb_arrays(0)
    if case == "twice":
        smallnorb_file(shrunk, 0, "cat").write_bytes(binary_matrix(change(arrays["cat"])))
    file = smallnorb_file(shrunk, 0, part)
    file.write_bytes(binary_matrix(change(arrays[part])))
    found = refusal(shrunk)
    assert f"{file}" in found and message in found


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "has 0 bytes, less than a header"),
    "html": (lambda content: b"<html>404 Not Found</html>" * 9, "starts with 0x6d74683c, which is no binary matrix"),
    "cut": (lambda content: content[:-1], "has 2,764,823 bytes; expected 2,764,824"),
    "longer": (lambda content: content + b"\0", "has 2,764,825 bytes; expected 2,764,824"),
    "huge": (
        lambda content: content[:8] + struct.pack("<4i", 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1) + content[24:],
        "holds uint8 of shape (2147483647, 2147483647, 2147483647, 2147483647)",
    ),
    "many": (lambda content: content[:4] + struct.pack("<i", 2**30) + content[8:], "of shape 1073741824 dimensions"),
    "big end": (lambda content: content[3::-1] + content[4:], "starts with 0x554c3d1e, which is no binary matrix"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_damaged_file_is_named_before_it_is_read(case: str, shrunk: Path) -> None:
    spoil, message = SPOILT[case]
    write_smallnorb(shrunk)
    file = smallnorb_file(shrunk, 1, "dat")
    file.write_bytes(spoil(file.read_bytes()))
    found = refusal(shrunk)
    assert f"{file}" in found and message in found


@pytest.mark.usefixtures("workplace", "one_thread")
def test_a_whole_run(shrunk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_smallnorb(shrunk)
    settings = ("steps=2", "batch_size=16", "device=cpu", "train.progress=false", "hydra.run.dir=run")
    options = ("objective=beta_vae", "dataset.holdout={factor: azimuth, equals: 0}")
    sampling = "dataset.sampling={preset: B, factors: [elevation, category]}"
    assert main(["dataset=smallnorb", f"data_root={shrunk}", *options, sampling, *settings]) == 0, (
        capsys.readouterr().err
    )
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["run"]["model"] == "conv_standard64"
    assert metrics["test"]["examples"] == 150
    assert metrics["holdout"]["examples"] == 50
