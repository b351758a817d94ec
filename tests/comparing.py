"""Two run folders, compared to the bit: all but times and rates, and random states that a run does not draw from."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hfvae_runner.storage.history import History

RATES = ("wall_seconds", "examples_per_second")


def last(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    return content


def history(folder: Path) -> pd.DataFrame:
    return History(folder / "history.csv").read().drop(columns="examples_per_second")


def metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    content["run"] = {key: value for key, value in content["run"].items() if key not in RATES}
    return content


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder, but its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from leaves(inner, f"{place}.{key}")
    else:
        yield place, value


def same_to_the_bit(folder: Path, other: Path, *, on_the_way: bool = True) -> None:
    """Raises AssertionError where the last checkpoint, a row, a measurement on the way or a result differs."""
    contents = [last(folder), last(other)]
    for content in contents:
        # Python's and NumPy's own random states are those of the process; a run draws from neither.
        content["rng"] = content["rng"]["torch"]
        del content["seconds"], content["config"]
    one, two = (dict(leaves(content)) for content in contents)
    assert one.keys() == two.keys()
    for place, value in one.items():
        twin = two[place]
        equal = torch.equal(value, twin) if isinstance(value, Tensor) and isinstance(twin, Tensor) else value == twin
        assert equal, place
    pd.testing.assert_frame_equal(history(folder), history(other), check_exact=True)
    assert metrics(folder) == metrics(other)
    if on_the_way:
        measured = [path / "evaluations.jsonl" for path in (folder, other)]
        lines = [path.read_text() if path.exists() else None for path in measured]
        assert lines[0] == lines[1]
