"""What tests that need a GPU have in common: ``-m gpu`` runs them alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

_SKIPPED = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def needs_gpu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test as ``gpu``, and skip it where there is none."""
    marked: Callable[..., Any] = pytest.mark.gpu(_SKIPPED(test))
    return marked
