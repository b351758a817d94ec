"""A user's own folder of images: modes, classes, and files that cannot be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hfvae_runner.data import Dataset
from hfvae_runner.data.image_folder import image_folder
from hfvae_runner.errors import ConfigError, DataError

GENERATOR = np.random.default_rng(0)


def picture(width: int = 20, height: int = 20) -> Image.Image:
    return Image.fromarray(GENERATOR.integers(0, 256, (height, width, 3), dtype=np.uint8))


def read(folder: Path, **options: Any) -> Dataset:
    root = str(folder.parent / "cache")
    return image_folder(**{"folder": str(folder), "root": root, "size": 16, **options})


def fill(folder: Path, count: int = 8, suffix: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture().save(folder / f"{number}.{suffix}")
    return folder


def only(folder: Path, name: str, **options: Any) -> np.ndarray:
    """The image of that name among seven others, [C, S, S]."""
    dataset = read(fill(folder, 7), **options)
    names = sorted(path.name for path in folder.iterdir())
    for split in (dataset.train, dataset.test):
        assert hasattr(split.x, "_rows")
        for row, number in enumerate(split.x._rows.tolist()):
            if names[number] == name:
                return split.x[torch.tensor([row])][0].numpy()
    raise AssertionError(name)


def test_folders_are_classes(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    for name in ("b c", "ä"):
        fill(folder / name)
    fill(folder / "ä" / "deeper", 4, "jpg")
    dataset = read(folder)
    assert dataset.label_names == ("b c", "ä") and dataset.input_shape == (3, 16, 16)
    assert len(dataset.train) + len(dataset.test) == 20
    assert dataset.train.labels is not None and dataset.test.labels is not None
    assert int((dataset.train.labels == 0).sum() + (dataset.test.labels == 0).sum()) == 8


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "own")
    fill(folder / ".hidden", 2)
    picture().save(folder / ".hidden.png")
    (folder / "notes.txt").write_text("not an image")
    dataset = read(folder)
    assert len(dataset.train) + len(dataset.test) == 8 and dataset.label_names is None


@pytest.mark.parametrize("name", ["flat", "one class"])
def test_without_classes(name: str, tmp_path: Path) -> None:
    fill(tmp_path / "own" / ("" if name == "flat" else name))
    dataset = read(tmp_path / "own", channels=1)
    assert dataset.label_names is None and dataset.input_shape == (1, 16, 16)


def test_the_middle_square_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    Image.fromarray(wide).save(folder / "wide.png")
    assert (only(folder, "wide.png") == 200).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "I;16", "I", "RGBA", "LA"])
def test_every_mode(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    if mode in ("I;16", "I"):
        values = np.full((16, 16), 0xC0FF, np.uint16 if mode == "I;16" else np.int32)
        image, expected = Image.fromarray(values), 0xC0
    elif mode in ("RGBA", "LA"):
        image, expected = Image.new("RGBA", (16, 16), (10, 20, 30, 0)).convert(mode), 255
    else:
        image, expected = Image.new("L", (16, 16), 255).convert(mode), 255
    suffix = "tif" if mode in ("CMYK", "YCbCr", "I") else "png"
    image.save(folder / f"own.{suffix}")
    found = only(folder, f"own.{suffix}")
    assert found.shape == (3, 16, 16)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_exif_turns_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    half = np.zeros((16, 16, 3), np.uint8)
    half[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(half).save(folder / "turned.png", exif=exif)
    found = only(folder, "turned.png")
    assert (found[:, :8] == 0).all() and (found[:, 8:] == 255).all()


def test_an_animation_is_its_first_picture(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    first, second = (Image.new("RGB", (16, 16), color) for color in ("white", "black"))
    first.save(folder / "moving.gif", save_all=True, append_images=[second])
    assert (only(folder, "moving.gif") == 255).all()


def truncated(folder: Path) -> None:
    picture(64, 64).save(folder / "cut.png")
    content = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])


def beside_folders(folder: Path) -> None:
    fill(folder / "class", 2)


def all_alike(folder: Path) -> None:
    for path in folder.iterdir():
        Image.new("RGB", (16, 16)).save(path)


def linked(folder: Path) -> None:
    picture().save(folder.parent / "elsewhere.png")
    (folder / "link.png").symlink_to(folder.parent / "elsewhere.png")


def linked_folder(folder: Path) -> None:
    fill(folder.parent / "elsewhere", 2)
    (folder / "link").symlink_to(folder.parent / "elsewhere")


def of_real_numbers(folder: Path) -> None:
    Image.fromarray(np.full((16, 16), 0.5, np.float32)).save(folder / "real.tif")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated, "cut.png is no image that can be read"),
        (lambda folder: (folder / "text.png").write_text("no image"), "text.png is no image that can be read"),
        (lambda folder: (folder / "empty.jpg").touch(), "empty.jpg is no image"),
        (beside_folders, "holds .*png beside folders of images"),
        (all_alike, "every value of every image of the folder is 0"),
        (linked, "link.png is a link out of the folder"),
        (linked_folder, "link is a link; expected folders of its own"),
        (of_real_numbers, "real.tif is no image that can be read .of real numbers"),
    ],
)
def test_bad_folders(spoil: Any, message: str, tmp_path: Path) -> None:
    folder = fill(tmp_path / "own")
    spoil(folder)
    with pytest.raises(DataError, match=message) as refused:
        read(folder)
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "cache").rglob("image_folder-*.npy"))


def test_folders_without_enough(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for path, message in ((tmp_path / "own", "holds no images"), (tmp_path / "nowhere", "is missing")):
        with pytest.raises(DataError, match=message):
            read(path)
    with pytest.raises(DataError, match="holds 1 examples"):
        read(fill(tmp_path / "own", 1))
    with pytest.raises(ConfigError, match=r"dataset\.folder is null"):
        image_folder(folder=None, root=str(tmp_path))
    with pytest.raises(ConfigError, match=r"dataset\.channels=2"):
        read(fill(tmp_path / "own"), channels=2)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    folder = fill(tmp_path / "own")
    assert len(read(folder).train) == 6  # in the user's cache
