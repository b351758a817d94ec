"""Image sets in the IDX files of MNIST, in the folders that torchvision lays out."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file

from hfvae_runner.datasets._dataset import Dataset, Split, resized
from hfvae_runner.errors import ConfigError, DataError


def load_idx(name: str, root: str, image_size: int | None, label_names: tuple[str, ...]) -> Dataset:
    """The images [1, S, S] of a data set in MNIST's format, with its published split.

    Args:
        name: the set's folder below ``root``; the four unpacked files are in its folder ``raw``.
        root: the folder that holds it, ``data_root``.
        image_size: S; None keeps 28.
        label_names: one a class.

    Raises:
        ConfigError: ``root`` is not a name.
        DataError: a file is missing or malformed.
    """
    if not isinstance(root, str):
        raise ConfigError(f"dataset.root={root!r}: expected the name of a folder")
    folder = Path(root) / name / "raw"
    train, test = (_split(folder, part, image_size, len(label_names)) for part in ("train", "t10k"))
    return Dataset(train, test, values="unit_interval", label_names=label_names)


def _split(folder: Path, part: str, image_size: int | None, classes: int) -> Split:
    image_file = folder / f"{part}-images-idx3-ubyte"
    label_file = folder / f"{part}-labels-idx1-ubyte"
    images, labels = _read(image_file, read_image_file), _read(label_file, read_label_file)
    if images.shape[1:] != (28, 28) or not len(images):
        raise DataError(f"{image_file} holds images of shape {tuple(images.shape)}; expected [N, 28, 28]")
    if len(labels) != len(images):
        raise DataError(f"{label_file} holds {len(labels)} labels; expected one for each of {len(images)} images")
    if int(labels.max()) >= classes:
        raise DataError(f"{label_file} holds the label {int(labels.max())}; expected 0 to {classes - 1}")
    return Split(resized(images[:, None], image_size), labels)


def _read(file: Path, reader: Callable[[str], Tensor]) -> Tensor:
    if not file.is_file():
        raise DataError(
            f"{file} is missing; expected unpacked IDX files there: give data_root=FOLDER or set HFVAE_DATA to the "
            f"folder that holds {file.parent.parent.name}/raw"
        )
    try:
        return reader(str(file))
    except (ValueError, TypeError, RuntimeError, AssertionError, OSError, KeyError, IndexError) as error:
        what = str(error) or "no IDX header"
        raise DataError(f"{file} is malformed ({what}); expected an unpacked IDX file of unsigned bytes") from None
