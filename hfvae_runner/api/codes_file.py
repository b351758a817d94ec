"""Writes codes as a file that ``hfvae_runner.score`` and other programs read: ``.npz``, ``.csv`` or ``.parquet``.

Shapes: N examples; D continuous factors; K categories; F ground-truth factors.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hfvae_runner.api.codes import Codes
from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".npz", ".csv", ".parquet")


@dataclass(frozen=True)
class Known:
    """What is known of the examples beside their codes.

    Attributes:
        split: the name of each example's split, [N].
        label: the class of each example, [N]; None where there are no labels.
        factors: values of ground-truth factors, [N, F]; None where there are none.
        factor_names, factor_nuisance: of the factors, F each.
    """

    split: NDArray[np.str_]
    label: NDArray[np.int64] | None = None
    factors: NDArray[np.int64] | NDArray[np.float64] | None = None
    factor_names: tuple[str, ...] = ()
    factor_nuisance: tuple[bool, ...] = ()


def check(path: Path) -> None:
    """Raise ConfigError where a file of that name cannot be written."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"out={path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ConfigError(f"out={path}: needs pyarrow; expected .npz or .csv, or pip install 'hfvae_runner[parquet]'")
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise ConfigError(f"out={path}: expected the name of a file in a folder that is there")


def write(path: Path, codes: Codes, known: Known) -> None:
    """Write the file atomically, in the format that its suffix names.

    Raises:
        ConfigError: the suffix is none that is known.
        StorageError: it cannot be written.
    """
    check(path)
    stream = io.BytesIO()
    writers: Mapping[str, Callable[[], object]] = {
        ".npz": lambda: np.savez(stream, **arrays(codes, known)),  # type: ignore[arg-type]
        ".csv": lambda: table(codes, known).to_csv(stream, index=False),
        ".parquet": lambda: table(codes, known).to_parquet(stream, index=False),
    }
    writers[path.suffix]()
    write_atomic(path, stream.getvalue())


def arrays(codes: Codes, known: Known) -> dict[str, NDArray[np.generic]]:
    """Return what an ``.npz`` file holds, by key."""
    found: dict[str, NDArray[np.generic]] = {
        "mean": codes.mean,
        "scale": codes.scale,
        "sample": codes.sample,
        "names": np.array(codes.names, dtype=np.str_),
        "split": known.split,
    }
    several = len(codes.probabilities) > 1
    for name, probabilities in codes.probabilities.items():
        found[f"class_probabilities/{name}" if several else "class_probabilities"] = probabilities
    if known.label is not None:
        found["label"] = known.label
    if known.factors is not None:
        found["factors"] = known.factors
        found["factor_names"] = np.array(known.factor_names, dtype=np.str_)
        found["factor_nuisance"] = np.array(known.factor_nuisance, dtype=bool)
    return found


def table(codes: Codes, known: Known) -> "pd.DataFrame":
    """Return a row per example, with columns such as ``mean/style[3]``, ``factor/angle`` and ``label``."""
    import pandas as pd

    columns: dict[str, NDArray[np.generic]] = {"split": known.split}
    if known.label is not None:
        columns["label"] = known.label
    if known.factors is not None:
        kinds = ("nuisance" if nuisance else "factor" for nuisance in known.factor_nuisance)
        columns |= {
            f"{kind}/{name}": known.factors[:, k]
            for k, (kind, name) in enumerate(zip(kinds, known.factor_names, strict=True))
        }
    for part in ("mean", "scale", "sample"):
        columns |= {f"{part}/{name}": getattr(codes, part)[:, d] for d, name in enumerate(codes.names)}
    for name, probabilities in codes.probabilities.items():
        columns |= {f"class_probabilities/{name}/{k}": column for k, column in enumerate(probabilities.T)}
    return pd.DataFrame(columns)
