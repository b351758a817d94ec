"""Train and compare variational autoencoders for disentangled representations, one command a run."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = {"score": "hfvae_runner.evaluation.scoring"}
"""What the package offers from Python, each with its module, which is imported at the first use."""


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FUNCTIONS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_FUNCTIONS]
