"""Data sets, one per file; ground-truth factors, sampling, holdout, and fetching the published files.

May import `config`. A new data set is a file with a function that takes what its YAML says and returns a ``Dataset``.
"""

from hfvae_runner.data._dataset import Dataset, Split, as_float
from hfvae_runner.data._description import Description
from hfvae_runner.data._examples import Examples, PackedBits, SparseCounts

__all__ = ["Dataset", "Description", "Examples", "PackedBits", "SparseCounts", "Split", "as_float"]
