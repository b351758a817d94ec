"""MNIST: 60,000 + 10,000 handwritten digits, 28×28 grey (LeCun et al.)."""

from hfvae_runner.datasets._dataset import Dataset
from hfvae_runner.datasets._idx import load_idx


def mnist(*, root: str, image_size: int | None) -> Dataset:
    """The published split, from ``root``/MNIST/raw; see ``load_idx``."""
    return load_idx("MNIST", root, image_size, tuple(str(digit) for digit in range(10)))
