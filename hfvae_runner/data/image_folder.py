"""A user's own images from a folder; its subfolders, if there are any, are the classes."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hfvae_runner.config.validation import WHOLE, Count, Text, expected, holding
from hfvae_runner.data._cache import cached, checksum
from hfvae_runner.data._dataset import Dataset
from hfvae_runner.data._images import DAMAGE, in_batches, on_disk, pixels, save_array
from hfvae_runner.data._own import Own, SplitSeed, TestShare, dataset_of, refuse_bad_values
from hfvae_runner.errors import ConfigError, DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_VERSION = 1

Channels = Annotated[Literal[1, 3], WHOLE, expected("1 for grey or 3 for colour")]


@holding("dataset")
def image_folder(
    *,
    folder: Text | None,
    test_folder: Text | None = None,
    size: Count | None = None,
    channels: Channels = 3,
    test_share: TestShare = 0.1,
    split_seed: SplitSeed = 0,
    root: Text,
    subset: Count | None = None,
) -> Dataset:
    """Images [C, S, S]: the square in the middle of each, resized with antialiasing.

    They are converted once and then read from the disk, so that they need not fit in memory. An image is turned as
    its EXIF tag says; what is transparent becomes white; of sixteen bits the upper eight count; of an animation the
    first picture. Files and folders whose names start with a dot are left out, and so are files of other kinds.

    Args:
        folder: with PNG, JPEG, BMP, GIF, TIFF or WebP files, in subfolders of the first level that are the classes, or
            all beside each other.
        test_folder: another one, with what is tested on; None holds a share of the first one out.
        size: S; None makes it 64.
        channels: 3 for colour, 1 for grey.
        test_share: of the examples, how many are held out.
        split_seed: of this choice.
        root: where converted images are kept, ``data_root``.
        subset: how many random training examples to keep; None keeps all.

    Raises:
        ConfigError: an option is out of range.
        DataError: a folder holds no images, or one that cannot be read.
    """
    if folder is None:
        raise ConfigError("dataset.folder is null; expected the name of a folder with images")
    side = pixels("dataset.size", 64 if size is None else size, most=1024)
    place = Path(root)
    own = _read(Path(folder), place, side, channels)
    test = None if test_folder is None else _read(Path(test_folder), place, side, channels)
    return dataset_of(own, test, test_share=test_share, split_seed=split_seed, subset=subset)


def _read(folder: Path, place: Path, side: int, channels: int) -> Own:
    files = _files(folder)
    classes = [file.relative_to(folder).parts[:-1] for file in files]
    if any(classes) and not all(classes):
        loose = files[classes.index(())]
        raise DataError(
            f"{folder} holds {loose.name} beside folders of images; expected classes as folders, or no folders"
        )
    labels = np.array([parts[0] for parts in classes], dtype=np.str_) if all(classes) else None
    digest = checksum(place, files)
    shape = (len(files), channels, side, side)
    build = partial(_convert, files, shape)
    path = cached(place, "image_folder.npy", [digest, side, channels, _VERSION], build, size=int(np.prod(shape)))
    several = labels is not None and len(np.unique(labels)) > 1
    return Own(str(folder), on_disk(path, shape), "unit_interval", labels if several else None, digest=digest)


def _files(folder: Path) -> list[Path]:
    """Return the images at or below a folder, by name, without those that a link leads to elsewhere."""
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'missing'}; expected a folder with images")
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if linked := next((name for name in folders if Path(place, name).is_symlink()), None):
            raise DataError(f"{Path(place, linked)} is a link; expected folders of its own in {folder}")
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() in _SUFFIXES and not name.startswith("."):
                if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
                    raise DataError(f"{path} is a link out of the folder; expected files of its own")
                found.append(path)
    if not found:
        raise DataError(f"{folder} holds no images; expected files that end in {', '.join(_SUFFIXES)}")
    return found


def _convert(files: Sequence[Path], shape: tuple[int, ...], path: Path) -> None:
    least, most = 255, 0

    def pieces() -> Iterator[NDArray[np.uint8]]:
        nonlocal least, most
        for piece in in_batches(files, partial(_image, channels=shape[1], side=shape[2])):
            least, most = min(least, int(piece.min())), max(most, int(piece.max()))
            yield piece

    save_array(path, shape, pieces())
    refuse_bad_values("every image of the folder", least, most, unit=False)


def _image(file: Path, *, channels: int, side: int) -> NDArray[np.uint8]:
    """One image, uint8 [C, S, S]."""
    try:
        with Image.open(file, formats=FORMATS) as opened:
            opened.load()
            turned = ImageOps.exif_transpose(_eight_bits(opened))
            extent = min(turned.size)
            left, top = ((length - extent) // 2 for length in turned.size)
            square = turned.crop((left, top, left + extent, top + extent))
            flat = _on_white(square).convert("RGB" if channels == 3 else "L")
            values = np.asarray(flat.resize((side, side), Image.Resampling.BILINEAR))
    except DAMAGE as error:
        raise DataError(f"{file} is no image that can be read ({' '.join(str(error).split())})") from None
    return values.transpose(2, 0, 1) if channels == 3 else values[None]


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the image with eight bits a channel; Pillow's own conversion would cut values above 255."""
    if image.mode == "F":
        raise ValueError("of real numbers, whose range is not known; expected 8 or 16 bits a channel")
    if image.mode not in (*_SIXTEEN_BITS, "I"):
        return image
    values = np.asarray(image).astype(np.int64)
    converted = Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
    converted.info = dict(image.info)
    return converted


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode not in ("RGBA", "LA", "PA"):
        return image
    whole = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
