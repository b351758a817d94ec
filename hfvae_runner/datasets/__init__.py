"""Data sets, one per file. A data-set factory takes what its YAML says and returns a ``Dataset``."""

from hfvae_runner.datasets._dataset import Dataset, Split, as_float

__all__ = ["Dataset", "Split", "as_float"]
