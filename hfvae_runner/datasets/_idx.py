"""Image sets in the IDX files of MNIST, in the folders that torchvision lays out."""

from pathlib import Path

from torch import Tensor
from torchvision.datasets import MNIST

from hfvae_runner.datasets._dataset import Dataset, Split, resized
from hfvae_runner.errors import DataError

_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def load_idx(reader: type[MNIST], root: str, image_size: int | None, label_names: tuple[str, ...]) -> Dataset:
    """The 60,000 + 10,000 images [1, S, S] of a data set in MNIST's format.

    Args:
        reader: torchvision's class for the set; its name is the folder's.
        root: the folder that holds it, ``data_root``.
        image_size: S; None keeps 28.
        label_names: one a class.

    Raises:
        DataError: a file is missing or malformed.
    """
    folder = Path(root) / reader.__name__ / "raw"
    for file in _FILES:
        if not (folder / file).is_file():
            raise DataError(
                f"{folder / file} is missing; expected the four files of {reader.__name__} there, unpacked: give "
                "data_root=FOLDER or set HFVAE_DATA to the folder that holds "
                f"{reader.__name__}/raw"
            )
    train, test = (_split(reader, root, folder, train, image_size, len(label_names)) for train in (True, False))
    return Dataset(train, test, likelihood="bernoulli", label_names=label_names)


def _split(reader: type[MNIST], root: str, folder: Path, train: bool, image_size: int | None, classes: int) -> Split:
    part = "training" if train else "test"
    try:
        published = reader(root, train=train, download=False)
    except (ValueError, TypeError, RuntimeError, AssertionError, OSError, KeyError, IndexError) as error:
        what = str(error) or "no IDX header"
        raise DataError(f"a {part} file in {folder} is malformed ({what}); expected unpacked IDX files") from None
    images: Tensor = published.data
    labels: Tensor = published.targets
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or not len(images):
        raise DataError(
            f"the {part} files in {folder} hold images of shape {tuple(images.shape)} and {len(labels)} labels; "
            "expected [N, 28, 28] and N"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(f"the {part} labels in {folder} reach {int(labels.max())}; expected 0 to {classes - 1}")
    return Split(resized(images[:, None], image_size), labels.long())
