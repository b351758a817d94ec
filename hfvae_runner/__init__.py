"""Train and compare variational autoencoders for disentangled representations, one command a run."""

__version__ = "0.1.0"
