"""Train and compare variational autoencoders for disentangled representations, one command a run.

What this module names is imported when it is first used: ``import hfvae_runner`` needs neither torch nor Hydra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfvae_runner.api.loading import load
    from hfvae_runner.api.training import sweep, train
    from hfvae_runner.evaluation.scoring import score

__version__ = "0.2.0"
__all__ = ["load", "score", "sweep", "train"]

_PLACES = {
    "load": "hfvae_runner.api.loading",
    "score": "hfvae_runner.evaluation.scoring",
    "sweep": "hfvae_runner.api.training",
    "train": "hfvae_runner.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
