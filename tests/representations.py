"""Made-up representations as files, for the tests that score them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import subjects

Arrays = dict[str, Any]


def arrays(rows: int = 240, seed: int = 0) -> Arrays:
    """Four latents, three of which copy a factor with a little noise, and a discrete variable that is the label."""
    generator = np.random.default_rng(seed)
    values = generator.integers((3, 4, 5), size=(rows, 3))
    label = values[:, 0]
    copied = values / (2, 3, 4) * 3 + 0.05 * generator.standard_normal((rows, 3))
    return {
        "mean": np.hstack([copied, 0.01 * generator.standard_normal((rows, 1))]),
        "scale": np.tile([0.1, 0.1, 0.1, 0.9], (rows, 1)),
        "class_probabilities": np.eye(3)[label] * 0.97 + 0.01,
        "label": label,
        "factors": values,
        "factor_names": np.array(subjects.NAMES),
        "factor_nuisance": np.array([True, False, False]),
        "names": np.array([f"style[{d}]" for d in range(4)]),
    }


def npz(path: Path, content: Mapping[str, Any]) -> Path:
    """The arrays as numpy stores them."""
    np.savez(path, allow_pickle=True, **{key: np.asarray(value) for key, value in content.items()})
    return path


def csv(path: Path, content: Arrays) -> Path:
    """The same as columns, each number in full."""
    columns: dict[str, Any] = {}
    for kind in ("mean", "scale", "log_variance", "sample"):
        for name, column in zip(content["names"], np.transpose(content.get(kind, ())), strict=False):
            columns[f"{kind}/{name}"] = column
    for category, column in enumerate(content["class_probabilities"].T):
        columns[f"class_probabilities/class/{category}"] = column
    columns["label"] = content["label"]
    factors = zip(content["factor_names"], content["factor_nuisance"], content["factors"].T, strict=True)
    columns |= {f"{'nuisance' if is_nuisance else 'factor'}/{name}": column for name, is_nuisance, column in factors}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
