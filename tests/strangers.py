"""Run folders from someone else: a module that leaves marks when it is imported or called, and changed configs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

SMALL = (
    *("device=cpu", "image_size=8", "batch_size=128", "latents=2", "dataset.subset=200", "train.progress=false"),
    *("metrics=[hoyer]", "metrics.figures=false", "metrics.exact_limit=1e5"),
)
SHORT = (*SMALL, "steps=2")
STRANGER = """
import os
from pathlib import Path

from hfvae_runner.data import Dataset
from hfvae_runner.data.digits import digits

HERE = Path(os.environ["MARKS"])
(HERE / "imported").touch()


def data(*, image_size: int | None, subset: int | None = None) -> Dataset:
    (HERE / "called").touch()
    return digits(image_size=image_size, subset=subset)


def metric(subject):
    (HERE / "called").touch()
    return {"mine": 7.0}


def undeclared(**given):
    (HERE / "called").touch()
"""


def change(folder: Path, place: tuple[str, ...], value: object) -> None:
    """Puts a value in its place in the folder's config."""
    path = folder / "config.yaml"
    config: Any = yaml.safe_load(path.read_text())
    section = config
    for key in place[:-1]:
        section = section.setdefault(key, {})
    section[place[-1]] = value
    path.write_text(yaml.safe_dump(config))


def error_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return [line for line in captured.err.splitlines() if line.startswith("error: ")]
