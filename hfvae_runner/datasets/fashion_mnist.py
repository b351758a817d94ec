"""Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28×28 grey (Xiao et al. 2017)."""

from hfvae_runner.datasets._dataset import Dataset
from hfvae_runner.datasets._idx import load_idx


def fashion_mnist(*, root: str, image_size: int | None) -> Dataset:
    """The published split, from ``root``/FashionMNIST/raw; see ``load_idx``."""
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return load_idx("FashionMNIST", root, image_size, names)
