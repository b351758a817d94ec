"""What the tests of the report share: run folders with made-up results."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from PIL import Image

from hfvae_runner.report import main, plots
from hfvae_runner.report.collect import collect, look
from hfvae_runner.report.dots import Plot
from hfvae_runner.report.settings import compare
from hfvae_runner.report.table import group

THIRD = 1 / 3


def config(**changes: object) -> dict[str, object]:
    """A resolved config; the keys of `choices` and of the root are changed by name, ``a__b`` is ``a.b``."""
    made: dict[str, object] = {
        "seed": 0,
        "device": "auto",
        "epochs": 3,
        "steps": None,
        "batch_size": 128,
        "lr": 0.001,
        "data_root": "data",
        "choices": {
            "dataset": "digits",
            "model": "mlp_mnist",
            "likelihood": "bernoulli",
            "prior": "normal_concrete",
            "objective": "hfvae",
        },
        "prior": {"_target_": "a.prior", "temperature": 0.66},
        "dataset": {"_target_": "a.dataset", "root": "data"},
        "beta": 12,
        "gamma": 4.0,
        "objective": {"terms": {"group_tc": 12, "within_tc": 4.0}},
        "train": {"keep": 2},
    }
    choices = made["choices"]
    assert isinstance(choices, dict)
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        if inner:
            made[section] = {**made[section], inner: value}  # type: ignore[dict-item]
        elif key in choices:
            choices[key] = value
        else:
            made[key] = value
    return made


def metrics(**changes: object) -> dict[str, object]:
    """The content of a metrics.json; the test split's entries are changed by name."""
    split: dict[str, object] = {
        "examples": 10,
        "elbo": -101.25,
        "reconstruction": -99.5,
        "kl": 1.75,
        "mutual_information": 1.0,
        "total_correlation": THIRD,
        "kl_per_factor": {"style[0]": 0.5, "style[10]": 0.25, "style[2]": 1.0, "class": 0.0},
        "label_information": {"style[0]": 0.9, "class": 0.5, "other": 0.625},
        "discrete_accuracy": 0.5,
        "discrete_accuracy_majority": None,
    }
    run: dict[str, object] = {"steps": 30, "epochs": 3.0, "batch_size": 128, "parameters": 77, "wall_seconds": 7.25}
    run |= {"examples_per_second": 0.1 + 0.2, "device": "cuda:0"}
    return {"schema": 1, "status": "completed", "run": run, "train": split, "test": split | changes}


def leave(
    folder: Path, config: dict[str, object], metrics: object = None, status: object = None, figures: Sequence[str] = ()
) -> Path:
    """A run folder."""
    (folder / "figures").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for name, content in {"metrics.json": metrics, "status.json": status}.items():
        if content is not None:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    for name in figures:
        Image.new("RGB", (300, 200), "white").save(folder / "figures" / f"{name}.png")
    return folder


def rows(home: Path) -> list[dict[str, str]]:
    with (home / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def refused(capsys: pytest.CaptureFixture[str], *folders: Path) -> str:
    """The one line of an error."""
    assert main([str(folder) for folder in folders]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


def drawn(home: Path) -> dict[str, Plot]:
    """The figures that the runs below a folder allow, by name, without the files."""
    runs = collect(look([home]), {})
    settings = group(runs, compare([run.texts for run in runs if run.config]))
    return {plot.name: plot for plot in plots.plots(settings)}


def figure_names(home: Path) -> set[str]:
    return {path.stem for path in (home / "figures").glob("*")}


def grid(home: Path, **values: Sequence[object]) -> None:
    """Runs for every combination of the settings."""
    combinations: list[dict[str, object]] = [{}]
    for key, choices in values.items():
        combinations = [{**each, key: value} for each in combinations for value in choices]
    for changes in combinations:
        name = ",".join(f"{key}={value}" for key, value in changes.items())
        leave(home / name, config(**changes), metrics(label_information=None, kl=None, discrete_accuracy=None))
