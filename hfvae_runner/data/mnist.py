"""MNIST: 60,000 + 10,000 handwritten digits, 28×28 grey (LeCun et al.)."""

from torchvision.datasets import MNIST

from hfvae_runner.data._dataset import Dataset, reduced
from hfvae_runner.data._idx import idx_files, load_idx

FILES = idx_files(MNIST)


def mnist(*, root: str, image_size: int | None, download: bool, subset: int | None = None) -> Dataset:
    """Return the published split, from ``root``/MNIST/raw; see ``load_idx`` and ``reduced``."""
    names = tuple(str(digit) for digit in range(10))
    return reduced(load_idx(FILES, root, image_size, names, dataset="mnist", download=download), subset)
