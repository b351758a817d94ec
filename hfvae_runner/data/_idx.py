"""Image sets in the IDX files of MNIST, in the folders that torchvision lays out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from hfvae_runner.data._dataset import Dataset, Split, resized
from hfvae_runner.data._fetch import RemoteFile, ensure
from hfvae_runner.errors import ConfigError, DataError


def idx_files(published: type[MNIST]) -> tuple[RemoteFile, ...]:
    """Return the four files of a set that torchvision knows, at torchvision's addresses and with its checksums.

    Its own downloader unpacks under the files' own names: what a killed run left half-written would pass for a file.
    """
    folder = f"{published.__name__}/raw"
    return tuple(
        RemoteFile(
            f"{folder}/{archive.removesuffix('.gz')}",
            urls=tuple(mirror + archive for mirror in published.mirrors),
            md5=md5,
            archive=f"{folder}/{archive}",
            limit=2**28,
        )
        for archive, md5 in published.resources
    )


def load_idx(
    files: Sequence[RemoteFile],
    root: str,
    image_size: int | None,
    label_names: tuple[str, ...],
    *,
    dataset: str,
    download: bool,
) -> Dataset:
    """Return the images [1, S, S] of a data set in MNIST's format, with its published split.

    Args:
        files: the four unpacked files, in the folder ``raw`` of the set's own folder below ``root``.
        root: the folder that holds it, ``data_root``.
        image_size: S; None keeps 28.
        label_names: one a class.
        dataset: the set's name on the command line.
        download: whether a missing file may be fetched.

    Raises:
        ConfigError: ``root`` is not a name.
        DataError: a file is missing or malformed.
    """
    if not isinstance(root, str):
        raise ConfigError(f"dataset.root={root!r}: expected the name of a folder")
    found = {path.name: path for path in ensure(Path(root), files, dataset=dataset, download=download)}
    train, test = (_split(found, part, image_size, len(label_names)) for part in ("train", "t10k"))
    return Dataset(train, test, values="unit_interval", label_names=label_names)


def _split(found: Mapping[str, Path], part: str, image_size: int | None, classes: int) -> Split:
    image_file, label_file = found[f"{part}-images-idx3-ubyte"], found[f"{part}-labels-idx1-ubyte"]
    images, labels = _read(image_file, read_image_file), _read(label_file, read_label_file)
    if images.shape[1:] != (28, 28) or not len(images):
        raise DataError(f"{image_file} holds images of shape {tuple(images.shape)}; expected [N, 28, 28]")
    if len(labels) != len(images):
        raise DataError(f"{label_file} holds {len(labels)} labels; expected one for each of {len(images)} images")
    if int(labels.max()) >= classes:
        raise DataError(f"{label_file} holds the label {int(labels.max())}; expected 0 to {classes - 1}")
    return Split(resized(images[:, None], image_size), labels)


def _read(file: Path, reader: Callable[[str], Tensor]) -> Tensor:
    try:
        return reader(str(file))
    except (ValueError, TypeError, RuntimeError, AssertionError, OSError, KeyError, IndexError) as error:
        what = str(error) or "no IDX header"
        raise DataError(f"{file} is malformed ({what}); expected an unpacked IDX file of unsigned bytes") from None
