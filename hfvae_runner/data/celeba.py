"""CelebA: 202,599 aligned colour pictures of celebrities' faces with 40 attributes (Liu et al. 2015)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import CelebA

from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset, Split, reduced
from hfvae_runner.data._fetch import RemoteFile, ensure, google_drive
from hfvae_runner.data._images import data_root, files_in, in_batches, mapped, on_disk, pixels, read_image, save_array
from hfvae_runner.errors import DataError

IMAGES = 202_599

_FOLDER, _ATTRIBUTES, _PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
_SIZE = (178, 218)
_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_AGAIN = "expected the published file: remove it and fetch it again"


def _published() -> tuple[RemoteFile, ...]:
    """Return the files at torchvision's addresses, with its checksums, in its layout."""
    listed = {name: (google_drive(identifier), md5) for identifier, md5, name in CelebA.file_list}
    url, md5 = listed[f"{_FOLDER}.zip"]
    folder = RemoteFile(f"celeba/{_FOLDER}", urls=(url,), md5=md5, archive=f"celeba/{_FOLDER}.zip", member=_FOLDER)
    texts = (
        RemoteFile(f"celeba/{name}", urls=(listed[name][0],), md5=listed[name][1]) for name in (_ATTRIBUTES, _PARTITION)
    )
    return (folder, *texts)


FILES = _published()


def celeba(*, root: str, image_size: int | None, crop: int, download: bool, subset: int | None = None) -> Dataset:
    """Colour images [3, S, S], cut out and resized with antialiasing, with their attributes and the published split.

    Args:
        root: the folder that holds celeba/img_align_celeba/*.jpg and the two lists beside it, ``data_root``.
        image_size: S; None makes it 64.
        crop: side length in pixels of the square in the middle that is kept of the 178×218.
        download: whether missing files may be fetched.
        subset: how many random training images to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: the files are missing or are not what their publisher wrote.
    """
    folder = data_root(root)
    side = pixels("image_size", 64 if image_size is None else image_size, most=_SIZE[0])
    pixels("dataset.crop", crop, most=_SIZE[0])
    pictures, *texts = ensure(folder, FILES, dataset="celeba", download=download)
    files = files_in(pictures, ".jpg", IMAGES)
    key = [checksum(folder, [*files, *texts]), side, crop, 1]
    build = partial(_convert, files, *texts, side=side, crop=crop)
    made = cached(folder, "celeba", key, build, size=IMAGES * (3 * side * side + 41))
    names = tuple((made / "names.txt").read_text(encoding="ascii").split())
    images = on_disk(made / "images.npy", (IMAGES, 3, side, side))
    attributes = mapped(made / "attributes.npy", (IMAGES, len(names))).bool()
    sizes = torch.bincount(mapped(made / "parts.npy", (IMAGES,)).long(), minlength=3).tolist()
    everything = Split(images, attributes=attributes)
    train, validation, test = (everything.take(rows) for rows in torch.arange(IMAGES).split(sizes))
    notes = {"validation": f"the {len(validation):,} images of the published validation part are not used"}
    dataset = Dataset(train, test, "unit_interval", attribute_names=names, notes=notes)
    return reduced(dataset, subset)


def _convert(files: Sequence[Path], attribute_list: Path, partition: Path, path: Path, *, side: int, crop: int) -> None:
    """Writes a folder: the images in the order of the parts, their attributes and parts, and the attributes' names."""
    names, attributes = _attributes(attribute_list, files)
    parts = _parts(partition, files)
    order = np.argsort(parts, kind="stable")
    path.mkdir()
    (path / "names.txt").write_text("\n".join(names), encoding="ascii")
    for name, values in {"attributes": attributes, "parts": parts}.items():
        save_array(path / f"{name}.npy", values.shape, [values[order]])
    read = partial(read_image, kind="JPEG", size=_SIZE, crop=crop, side=side, colour=True)
    save_array(path / "images.npy", (IMAGES, 3, side, side), in_batches([files[i] for i in order], read))


def _attributes(file: Path, images: Sequence[Path]) -> tuple[list[str], np.ndarray]:
    """Return the attributes' names, and which hold, uint8 [N, A], for the images in their order."""
    lines = _lines(file)
    if len(lines) < 2 or lines[0] != [str(IMAGES)] or not lines[1] or not all(name.isascii() for name in lines[1]):
        raise DataError(f"{file} does not start with the number {IMAGES} and a line of names; {_AGAIN}")
    return lines[1], _table(file, lines[2:], images, {"-1": 0, "1": 1}, columns=len(lines[1]))


def _parts(file: Path, images: Sequence[Path]) -> np.ndarray:
    """Return each image's part, uint8 [N]."""
    codes = {str(part): part for part in (_TRAIN, _VALIDATION, _TEST)}
    parts = _table(file, _lines(file), images, codes, columns=1)[:, 0]
    if not {_TRAIN, _TEST} <= set(parts.tolist()):
        raise DataError(f"{file} has no image for training or none for testing; {_AGAIN}")
    return parts


def _lines(file: Path) -> list[list[str]]:
    """Return the words of every line that is not empty."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as text ({error}); {_AGAIN}") from None
    return [words for line in text.splitlines() if (words := line.split())]


def _table(
    file: Path, rows: list[list[str]], images: Sequence[Path], codes: dict[str, int], *, columns: int
) -> np.ndarray:
    """Return what each row says of its image, coded, uint8 [N, columns]."""
    if [row[0] for row in rows] != [image.name for image in images]:
        raise DataError(f"{file} lists {len(rows)} images, not the {len(images)} of {_FOLDER} in their order; {_AGAIN}")
    for row in rows:
        if len(row) != columns + 1 or not codes.keys() >= set(row[1:]):
            found = " ".join(row)[:80]
            raise DataError(f"{file} has the line {found!r}; expected a name and {columns} × {' or '.join(codes)}")
    return np.array([[codes[word] for word in row[1:]] for row in rows], dtype=np.uint8)
