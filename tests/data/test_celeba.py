"""CelebA's images and lists in torchvision's layout, on a few written here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from published import CELEBA_ATTRIBUTES, CELEBA_PARTS, celeba_signs, write_celeba

from hfvae_runner.data import Dataset, Split
from hfvae_runner.data import celeba as module
from hfvae_runner.data.celeba import celeba
from hfvae_runner.errors import ConfigError, DataError

PARTS = np.array(CELEBA_PARTS)


def read(root: Path, *, image_size: int | None = None, crop: int = 148, subset: int | None = None) -> Dataset:
    return celeba(root=str(root), image_size=image_size, crop=crop, download=False, subset=subset)


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "\n" not in message
    assert not list(root.glob("converted/celeba*"))
    return message


def images(split: Split) -> torch.Tensor:
    return split.x[torch.arange(len(split))]


def test_the_files_are_torchvisions() -> None:
    assert [file.name for file in module.FILES] == [
        "celeba/img_align_celeba",
        "celeba/list_attr_celeba.txt",
        "celeba/list_eval_partition.txt",
    ]
    assert all(file.md5 is not None and file.urls for file in module.FILES)
    assert module.IMAGES == 202_599


def test_images_attributes_and_split_as_published(shrunk: Path) -> None:
    write_celeba(shrunk)
    dataset = read(shrunk)
    assert (dataset.input_shape, dataset.values, dataset.n_classes) == ((3, 64, 64), "unit_interval", None)
    assert dataset.attribute_names == CELEBA_ATTRIBUTES
    for split, part in ((dataset.train, 0), (dataset.test, 2)):
        chosen = np.flatnonzero(part == PARTS)
        assert split.labels is None and split.attributes is not None
        assert np.array_equal(split.attributes.numpy(), celeba_signs()[chosen] == 1)
        # The middle alone is kept, where image i is grey 20·i; JPEG changes flat areas by a level at most.
        inside = images(split)[:, :, 8:-8, 8:-8].int()
        assert ((inside - 20 * torch.from_numpy(chosen)[:, None, None, None]).abs() <= 1).all()
        assert ((images(split).float().mean((1, 2, 3)) - 20 * torch.from_numpy(chosen)).abs() < 2).all()
    assert dataset.notes == {"validation": "the 2 images of the published validation part are not used"}


def test_another_square_and_size(shrunk: Path) -> None:
    write_celeba(shrunk)
    brightest = images(read(shrunk, crop=178, image_size=89).train)[-1].int()
    assert brightest.shape == (3, 89, 89)
    # A border of 15 of the 178 pixels is black on each side.
    assert (brightest[:, :6] < 40).all() and (brightest[:, :, -6:] < 40).all()
    assert (brightest[:, 10:-10, 10:-10] > 150).all()
    with pytest.raises(ConfigError, match=r"dataset.crop=179: expected a whole number of pixels from 4 to 178"):
        read(shrunk, crop=179)
    with pytest.raises(ConfigError, match="image_size=200"):
        read(shrunk, image_size=200)


def test_a_subset(shrunk: Path) -> None:
    write_celeba(shrunk)
    dataset = read(shrunk, subset=2)
    assert (len(dataset.train), len(dataset.test)) == (2, 2)
    assert dataset.notes["subset"] == "2 random examples of 7 to train on, 2 of 3 to test"
    assert "validation" in dataset.notes


def test_missing_files_are_named(shrunk: Path) -> None:
    assert "img_align_celeba is missing: run `python scripts/fetch_data.py celeba" in refusal(shrunk)
    (write_celeba(shrunk) / "list_eval_partition.txt").unlink()
    assert "list_eval_partition.txt is missing" in refusal(shrunk)


def test_another_number_of_images_is_refused(shrunk: Path) -> None:
    (write_celeba(shrunk) / "img_align_celeba" / "000003.jpg").unlink()
    assert "img_align_celeba holds 11 files *.jpg; expected 12: remove it and fetch it again" in refusal(shrunk)


def swapped(text: str) -> str:
    return text.replace("000003.jpg", "x").replace("000004.jpg", "000003.jpg").replace("x", "000004.jpg")


ATTRIBUTES: dict[str, tuple[Callable[[str], str], str]] = {
    "another number": (lambda text: text.replace("12\n", "13\n", 1), "does not start with the number 12"),
    "empty": (lambda text: "", "does not start with the number 12"),
    "page": (lambda text: "<html>\n404", "does not start with the number 12"),
    "one less": (lambda text: text[: text.rindex("000012")], "lists 11 images, not the 12 of img_align_celeba"),
    "order": (swapped, "lists 12 images, not the 12 of img_align_celeba in their order"),
    "0": (lambda text: text.replace("-1", " 0"), "has the line '000001.jpg 0 0 0'; expected a name and 3 × -1 or 1"),
    "more": (lambda text: text.replace("000002.jpg", "000002.jpg 1"), "has the line '000002.jpg 1 1 -1 -1'"),
}
PARTITION: dict[str, tuple[Callable[[str], str], str]] = {
    "4": (lambda text: text.replace(" 2", " 4"), "has the line '000002.jpg 4'; expected a name and 1 × 0 or 1 or 2"),
    "one less": (lambda text: text[: text.rindex("000012")], "lists 11 images"),
    "no part": (lambda text: text.replace(" 0", ""), "has the line '000001.jpg'"),
    "no test": (lambda text: text.replace(" 2", " 0"), "has no image for training or none for testing"),
    "order": (swapped, "in their order"),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_another_list_of_attributes_is_named(case: str, shrunk: Path) -> None:
    assert_list_refused(write_celeba(shrunk) / "list_attr_celeba.txt", *ATTRIBUTES[case], shrunk)


@pytest.mark.parametrize("case", PARTITION)
def test_another_list_of_parts_is_named(case: str, shrunk: Path) -> None:
    assert_list_refused(write_celeba(shrunk) / "list_eval_partition.txt", *PARTITION[case], shrunk)


def assert_list_refused(file: Path, change: Callable[[str], str], found: str, root: Path) -> None:
    file.write_text(change(file.read_text()))
    message = refusal(root)
    assert str(file) in message and found in message


def test_a_list_that_is_no_text_is_named(shrunk: Path) -> None:
    file = write_celeba(shrunk) / "list_attr_celeba.txt"
    file.write_bytes(b"\xff\xfe\x00" * 100)
    assert f"{file} cannot be read as text (" in refusal(shrunk)


def test_a_damaged_image_is_named(shrunk: Path) -> None:
    file = write_celeba(shrunk) / "img_align_celeba" / "000009.jpg"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert f"{file} is malformed (" in refusal(shrunk)
    Image.new("RGB", (178, 218)).save(file, format="PNG")
    assert f"{file} is malformed (" in refusal(shrunk)
    Image.new("RGB", (64, 64)).save(file)
    assert f"{file} has 64×64 pixels; expected a JPEG image of 178×218 pixels" in refusal(shrunk)
