"""The random states that no tracker may touch."""

import pickle
import random

import numpy as np
import torch


def random_states() -> bytes:
    """Of ``random``, NumPy and torch, as one comparable value."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()))
