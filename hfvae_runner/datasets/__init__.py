"""Data sets, one per file. A data-set factory takes what its YAML says and returns a ``Dataset``."""

from hfvae_runner.datasets._dataset import Dataset, Split, as_float
from hfvae_runner.datasets._examples import Examples, PackedBits, SparseCounts

__all__ = ["Dataset", "Examples", "PackedBits", "SparseCounts", "Split", "as_float"]
