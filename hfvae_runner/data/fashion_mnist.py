"""Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28×28 grey (Xiao et al. 2017)."""

from torchvision.datasets import FashionMNIST

from hfvae_runner.data._dataset import Dataset, reduced
from hfvae_runner.data._idx import idx_files, load_idx

FILES = idx_files(FashionMNIST)


def fashion_mnist(*, root: str, image_size: int | None, download: bool, subset: int | None = None) -> Dataset:
    """Return the published split, from ``root``/FashionMNIST/raw; see ``load_idx`` and ``reduced``."""
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return reduced(load_idx(FILES, root, image_size, names, dataset="fashion_mnist", download=download), subset)
