"""Train and compare variational autoencoders for disentangled representations, with one command per run."""

__version__ = "0.1.0"
