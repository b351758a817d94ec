"""The chairs' folders of images, on a few written here."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from published import write_chairs

from hfvae_runner.data import Dataset
from hfvae_runner.data import chairs as module
from hfvae_runner.data.chairs import chairs
from hfvae_runner.errors import ConfigError, DataError

NAMES = ("image_001_p020_t011_r096.png", "image_006_p030_t035_r096.png")


def read(root: Path, *, subset: int | None = None, **changed: object) -> Dataset:
    options = {"image_size": None, "colour": True, "crop": 400} | changed
    return chairs(root=str(root), download=False, subset=subset, **options)  # type: ignore[arg-type]


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    message = str(caught.value)
    assert "\n" not in message
    assert not list(root.glob("converted/*.npy"))
    return message


def images(dataset: Dataset) -> torch.Tensor:
    return dataset.train.x[torch.arange(len(dataset.train))]


def test_the_published_grid() -> None:
    assert len(module.GRID) == 86_366
    assert module.GRID.names == ("chair", "elevation", "azimuth")


def test_images_and_the_factors_of_their_names(shrunk: Path) -> None:
    write_chairs(shrunk)
    dataset = read(shrunk)
    assert (dataset.input_shape, dataset.values, dataset.factors) == ((3, 64, 64), "unit_interval", module.GRID)
    assert dataset.train.factors is not None and len(dataset.train) == 12
    expected = dataset.train.factors * torch.tensor([50, 60, 70])
    assert torch.equal(images(dataset), expected.byte()[:, :, None, None].expand(-1, -1, 64, 64))
    assert "the papers train on all images" in dataset.notes["test"]


def test_numbers_in_names_do_not_matter(shrunk: Path) -> None:
    folder = write_chairs(shrunk)
    before = images(read(shrunk))
    for number, file in enumerate(sorted(folder.glob("*/renders/*.png"), reverse=True), start=1):
        file.rename(file.with_name(f"image_{number:03}{file.name[9:]}"))
    assert torch.equal(images(read(shrunk)), before)


def test_grey_and_whole_images_of_another_size(shrunk: Path) -> None:
    write_chairs(shrunk)
    grey = images(read(shrunk, colour=False, crop=600, image_size=60))
    assert grey.shape == (12, 1, 60, 60)
    assert (grey[:, :, :9] == 255).all() and (grey[:, :, :, -9:] == 255).all()
    # The last one: chair 1, elevation 1, azimuth 2; ITU-R 601.
    assert abs(grey[-1, 0, 30, 30].item() - (0.299 * 50 + 0.587 * 60 + 0.114 * 140)) <= 1


def test_each_choice_has_a_copy_of_its_own(shrunk: Path) -> None:
    write_chairs(shrunk)
    shapes = {read(shrunk, colour=colour, crop=crop).input_shape for colour in (True, False) for crop in (400, 300)}
    assert shapes == {(3, 64, 64), (1, 64, 64)}
    assert len(list((shrunk / "converted").glob("chairs-*.npy"))) == 4


def test_a_subset(shrunk: Path) -> None:
    write_chairs(shrunk)
    part, whole = read(shrunk, subset=5), read(shrunk)
    assert part.train.factors is not None
    assert torch.equal(images(part), images(whole)[module.GRID.to_index(part.train.factors)])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"colour": "grey"}, "dataset.colour='grey': expected true or false"),
        ({"crop": 601}, "dataset.crop=601: expected a whole number of pixels from 4 to 600"),
        ({"image_size": 2}, "image_size=2: expected a whole number of pixels from 4 to 600"),
        ({"subset": 13}, "dataset.subset=13: expected a number of training examples from 1 to 12"),
    ],
)
def test_an_option_out_of_range_is_refused(changed: dict[str, object], message: str, shrunk: Path) -> None:
    write_chairs(shrunk)
    with pytest.raises(ConfigError, match=message):
        read(shrunk, **changed)  # type: ignore[arg-type]


def test_a_missing_folder_is_named(shrunk: Path) -> None:
    assert "rendered_chairs is missing: run `python scripts/fetch_data.py chairs" in refusal(shrunk)


def test_another_number_of_chairs_is_refused(shrunk: Path) -> None:
    folder = write_chairs(shrunk)
    (folder / f"{1:032x}" / "renders").rename(folder / "renders")
    assert "rendered_chairs holds 1 folders ID/renders; expected 2" in refusal(shrunk)


def test_a_missing_view_is_named(shrunk: Path) -> None:
    renders = write_chairs(shrunk) / f"{1:032x}" / "renders"
    (renders / NAMES[1]).unlink()
    message = refusal(shrunk)
    assert f"{renders} holds 5 images of 2 elevations and 3 azimuths; expected one of each of 2 × 3" in message


def test_another_view_is_named(shrunk: Path) -> None:
    renders = write_chairs(shrunk) / f"{1:032x}" / "renders"
    for file in renders.glob("*_t035_*"):
        file.rename(renders / file.name.replace("_t035_", "_t040_"))
    message = refusal(shrunk)
    assert f"{renders} and that of {0:032x} have not both elevation 20, azimuth 35" in message


def test_a_view_that_stands_twice_is_named(shrunk: Path) -> None:
    renders = write_chairs(shrunk) / f"{1:032x}" / "renders"
    (renders / NAMES[1]).rename(renders / NAMES[0].replace("001", "006"))
    assert "holds 6 images of 2 elevations and 3 azimuths; expected one of each" in refusal(shrunk)


def test_another_name_is_refused(shrunk: Path) -> None:
    renders = write_chairs(shrunk) / f"{1:032x}" / "renders"
    (renders / NAMES[0]).rename(renders / "chair.png")
    assert f"{renders / 'chair.png'}: expected a name such as {NAMES[0]}" in refusal(shrunk)


def test_a_damaged_image_is_named(shrunk: Path) -> None:
    file = write_chairs(shrunk) / f"{1:032x}" / "renders" / NAMES[0]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert f"{file} is malformed (" in refusal(shrunk)
    Image.new("RGB", (64, 64)).save(file)
    assert f"{file} has 64×64 pixels; expected a PNG image of 600×600 pixels" in refusal(shrunk)
