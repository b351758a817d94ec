"""MNIST's file format, as published (yann.lecun.com/exdb/mnist), on small files written here."""

import gzip
import hashlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from publisher import publishing
from torch import Tensor

from hfvae_runner.data import Dataset
from hfvae_runner.data._idx import idx_files
from hfvae_runner.data.fashion_mnist import fashion_mnist
from hfvae_runner.data.mnist import mnist
from hfvae_runner.errors import ConfigError, DataError

Factory = Callable[..., Dataset]
SETS = pytest.mark.parametrize(("factory", "name"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])


def idx(values: Tensor, kind: int = 0x08) -> bytes:
    """Two zero bytes, the type (0x08 unsigned byte), the number of dimensions, each size big-endian, the values."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, kind, values.ndim]) + sizes + bytes(values.flatten().tolist())


def numbers(*shape: int, below: int = 256, seed: int = 0) -> Tensor:
    return torch.randint(below, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


TRAIN, TEST = numbers(12, 28, 28), numbers(5, 28, 28, seed=1)
TRAIN_LABELS, TEST_LABELS = torch.arange(12, dtype=torch.uint8) % 10, torch.arange(5, dtype=torch.uint8)


def publish(root: Path, name: str = "MNIST") -> Path:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    files = {
        "train-images-idx3-ubyte": TRAIN,
        "train-labels-idx1-ubyte": TRAIN_LABELS,
        "t10k-images-idx3-ubyte": TEST,
        "t10k-labels-idx1-ubyte": TEST_LABELS,
    }
    for file, values in files.items():
        (folder / file).write_bytes(idx(values))
    return folder


@SETS
def test_the_files_are_read_as_they_are(factory: Factory, name: str, tmp_path: Path) -> None:
    publish(tmp_path, name)
    dataset = factory(root=str(tmp_path), image_size=None, download=False)
    assert torch.equal(dataset.train.x, TRAIN[:, None])
    assert torch.equal(dataset.test.x, TEST[:, None])
    assert dataset.train.x.dtype == torch.uint8
    assert dataset.train.labels is not None and dataset.test.labels is not None
    assert dataset.train.labels.tolist() == TRAIN_LABELS.tolist()
    assert dataset.test.labels.tolist() == TEST_LABELS.tolist()
    assert dataset.train.labels.dtype == torch.int64
    assert (dataset.input_shape, dataset.n_classes, dataset.values) == ((1, 28, 28), 10, "unit_interval")


@SETS
def test_images_are_resized(factory: Factory, name: str, tmp_path: Path) -> None:
    publish(tmp_path, name)
    dataset = factory(root=str(tmp_path), image_size=32, download=False)
    assert dataset.train.x.shape == (12, 1, 32, 32)
    assert dataset.test.x.shape == (5, 1, 32, 32)
    assert dataset.train.x.dtype == torch.uint8


@pytest.mark.parametrize("size", [3, 0, 28.0, "32", True])
def test_a_size_that_is_none_is_refused(size: object, tmp_path: Path) -> None:
    publish(tmp_path)
    with pytest.raises(ConfigError, match=r"image_size=.*expected a whole number of pixels from 4 on"):
        mnist(root=str(tmp_path), image_size=size, download=False)  # type: ignore[arg-type]


def refusal(root: Path, factory: Factory = mnist) -> str:
    with pytest.raises(DataError) as caught:
        factory(root=str(root), image_size=None, download=False)
    message = str(caught.value)
    assert "\n" not in message
    return message


@SETS
def test_a_missing_folder(factory: Factory, name: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, factory)
    assert f"{name}/raw/train-images-idx3-ubyte is missing" in message
    assert "HFVAE_DATA" in message


@pytest.mark.parametrize("file", ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
def test_a_missing_file(file: str, tmp_path: Path) -> None:
    (publish(tmp_path) / file).unlink()
    assert f"{file} is missing" in refusal(tmp_path)


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:7],
        lambda content: b"",
        lambda content: b"\x12\x34\x56\x78" + content[4:],
        lambda content: b"\0\0\x0d" + content[3:],
        lambda content: b"\0\0\x09" + content[3:],
        lambda content: b"\0\0\x0a" + content[3:],
        lambda content: b"\0\0\x08\x02" + content[4:],
        gzip.compress,
        lambda content: b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 9,
    ],
    ids=["short", "long", "header", "empty", "magic", "float32", "int8", "no type", "dimensions", "gzip", "html"],
)
def test_a_malformed_file(file: str, spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = publish(tmp_path) / file
    path.write_bytes(spoil(path.read_bytes()))
    message = refusal(tmp_path)
    assert f"{path} is malformed" in message
    assert "malformed ()" not in message


def test_images_of_another_size(tmp_path: Path) -> None:
    (publish(tmp_path) / "train-images-idx3-ubyte").write_bytes(idx(numbers(12, 32, 32)))
    assert "train-images-idx3-ubyte holds images of shape (12, 32, 32); expected [N, 28, 28]" in refusal(tmp_path)


def test_another_number_of_labels(tmp_path: Path) -> None:
    (publish(tmp_path) / "t10k-labels-idx1-ubyte").write_bytes(idx(TEST_LABELS[:4]))
    assert "t10k-labels-idx1-ubyte holds 4 labels; expected one for each of 5 images" in refusal(tmp_path)


def test_a_label_out_of_range(tmp_path: Path) -> None:
    (publish(tmp_path) / "train-labels-idx1-ubyte").write_bytes(idx(TRAIN_LABELS + 1))
    assert "train-labels-idx1-ubyte holds the label 10; expected 0 to 9" in refusal(tmp_path)


def test_no_images_at_all(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(TEST[:0]))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(TEST_LABELS[:0]))
    assert str(folder) in refusal(tmp_path)


@SETS
def test_the_first_use_fetches_and_unpacks(
    factory: Factory, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    published = getattr(torchvision.datasets, name)
    with publishing() as publisher:
        for path in publish(tmp_path / "elsewhere", name).iterdir():
            publisher.files[f"{path.name}.gz"] = gzip.compress(path.read_bytes())
        resources = [(archive, hashlib.md5(publisher.files[archive]).hexdigest()) for archive, _ in published.resources]
        monkeypatch.setattr(published, "mirrors", [publisher.url("gone/"), publisher.url("")])
        monkeypatch.setattr(published, "resources", resources)
        monkeypatch.setattr(sys.modules[factory.__module__], "FILES", idx_files(published))
        dataset = factory(root=str(tmp_path), image_size=None, download=True)
    assert torch.equal(dataset.train.x, TRAIN[:, None])
    assert torch.equal(dataset.test.x, TEST[:, None])
    again = factory(root=str(tmp_path), image_size=None, download=True)
    assert torch.equal(again.test.x, TEST[:, None])


@SETS
def test_the_published_files_are_torchvisions(factory: Factory, name: str) -> None:
    """Where torchvision's own downloader would put them, with its checksums."""
    published = getattr(torchvision.datasets, name)
    files = sys.modules[factory.__module__].FILES
    assert [file.md5 for file in files] == [md5 for _, md5 in published.resources]
    for file, (archive, _) in zip(files, published.resources, strict=True):
        assert file.archive == f"{name}/raw/{archive}" == f"{file.name}.gz"
        assert file.urls == tuple(f"{mirror}{archive}" for mirror in published.mirrors)


REAL = Path(os.environ.get("HFVAE_DATA", "data")) / "MNIST" / "raw" / "train-images-idx3-ubyte"


@pytest.mark.skipif(not REAL.is_file(), reason="MNIST is not below HFVAE_DATA")
def test_the_real_mnist() -> None:
    dataset = mnist(root=str(REAL.parents[2]), image_size=None, download=False)
    assert dataset.train.x.shape == (60_000, 1, 28, 28)
    assert dataset.test.x.shape == (10_000, 1, 28, 28)
    assert dataset.train.labels is not None and dataset.test.labels is not None
    # The first labels, and how many there are of each digit, as published.
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert torch.bincount(dataset.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert dataset.train.x.double().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
