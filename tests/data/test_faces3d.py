"""basel_face_renders.pth, on small tensors written here by torch, in its format of today and that of 2018."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from published import write_faces3d

from hfvae_runner.data import Dataset
from hfvae_runner.data import faces3d as module
from hfvae_runner.data.faces3d import faces3d
from hfvae_runner.errors import DataError

NAME = "basel_face_renders.pth"


def read(root: Path, *, image_size: int | None = None, subset: int | None = None) -> Dataset:
    return faces3d(root=str(root), image_size=image_size, subset=subset)


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "\n" not in message
    assert NAME in message
    return message


def test_the_published_grid() -> None:
    assert module.GRID.sizes == (50, 21, 11, 11)
    assert module.GRID.names == ("identity", "azimuth", "elevation", "lighting")
    assert module.GRID.nuisance == ("identity",)


@pytest.mark.parametrize("legacy", [False, True])
def test_images_and_factors_as_published(legacy: bool, shrunk: Path) -> None:
    faces = write_faces3d(shrunk, legacy=legacy)
    dataset = read(shrunk)
    train = dataset.train
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((1, 64, 64), "unit_interval", module.GRID)
    assert (dataset.n_classes, train.labels) == (None, None)
    assert train.factors is not None and len(train) == 36
    for i in (0, 7, 35):
        identity, azimuth, elevation, lighting = train.factors[i].tolist()
        assert torch.equal(train.x[torch.tensor([i])][0, 0], faces[identity, azimuth, elevation, lighting])
    assert "the papers train on all images" in dataset.notes["test"]


def test_a_tensor_whose_memory_is_ordered_otherwise(shrunk: Path) -> None:
    faces = write_faces3d(shrunk)
    torch.save(faces.transpose(0, 5).contiguous().transpose(0, 5), shrunk / NAME)
    assert torch.equal(read(shrunk).train.x[torch.arange(36)], faces.view(36, 1, 64, 64))


def test_another_size_and_a_subset(shrunk: Path) -> None:
    write_faces3d(shrunk)
    dataset = read(shrunk, image_size=32, subset=5)
    assert dataset.input_shape == (1, 32, 32)
    assert (len(dataset.train), len(dataset.test)) == (5, 5)


def test_a_missing_file_says_where_to_ask(shrunk: Path) -> None:
    message = refusal(shrunk)
    assert f"{shrunk / NAME} is missing and has no public download" in message
    assert "ask the authors of β-TCVAE" in message and "put it there" in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda faces: faces.float(), "holds float32 of shape (3, 2, 2, 3, 64, 64)"),
        (lambda faces: faces[1:], "holds uint8 of shape (2, 2, 2, 3, 64, 64)"),
        (lambda faces: faces.flatten(0, 3), "holds uint8 of shape (36, 64, 64)"),
        (lambda faces: faces.to_sparse(), "holds uint8 of shape"),
        (lambda faces: {"faces": faces}, "holds an object of the type dict"),
    ],
    ids=["float", "one less", "flat", "sparse", "dict"],
)
def test_other_content_is_named(change: Callable[[torch.Tensor], object], found: str, shrunk: Path) -> None:
    faces = write_faces3d(shrunk)
    torch.save(change(faces), shrunk / NAME)
    message = refusal(shrunk)
    assert found in message
    assert "expected a uint8 tensor of shape (3, 2, 2, 3, 64, 64), saved by torch" in message


class Command:
    """Unpickled by an unwary reader, this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("legacy", [False, True])
def test_programs_in_a_file_are_not_run(legacy: bool, shrunk: Path, tmp_path: Path) -> None:
    write_faces3d(shrunk)
    torch.save(Command(tmp_path / "made"), shrunk / NAME, _use_new_zipfile_serialization=not legacy)
    assert "other content is not run" in refusal(shrunk)
    (shrunk / NAME).write_bytes(pickle.dumps(Command(tmp_path / "made")))
    assert refusal(shrunk)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kept", [0, 10, 1000, -1000, -1])
def test_a_cut_off_file_is_named(kept: int, legacy: bool, shrunk: Path) -> None:
    write_faces3d(shrunk, legacy=legacy)
    (shrunk / NAME).write_bytes((shrunk / NAME).read_bytes()[:kept])
    assert "expected a uint8 tensor of shape" in refusal(shrunk)
