"""A run folder from someone else, opened by every command: nothing that it names is imported or called.

The stranger's module leaves one file when it is imported, and another when one of its functions is called.
"""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from strangers import SHORT, SMALL, change, error_lines

from hfvae_runner.encode import main as encode
from hfvae_runner.evaluate import main as evaluate
from hfvae_runner.explore.command import main as explore
from hfvae_runner.launch import main as train
from hfvae_runner.launch import run_name
from hfvae_runner.report import main as report

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own and its dependencies' imports
    import optuna  # noqa: F401

PLACES: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset",),
    "model": ("model",),
    "likelihood": ("likelihood",),
    "prior": ("prior",),
    "metrics": ("metrics", "mine"),
    "trackers": ("trackers", "mine"),
    "an option of the model": ("model", "width"),
    "a term": ("objective", "terms", "group_tc"),
    "hydra": ("hydra", "launcher"),
}

pytestmark = pytest.mark.usefixtures("one_thread")


def name_function(folder: Path, group: str, function: str = "stranger.undeclared") -> None:
    """Has the folder's config name a function in the place of the group's."""
    config: Any = yaml.safe_load((folder / "config.yaml").read_text())
    section = config.get(group)
    options = section if group in ("dataset", "model", "likelihood", "prior") else {}
    change(folder, PLACES[group], {**options, "_target_": function})


# Every command that goes by the config of a folder; `original` is one that nobody has changed.
Command = Callable[[Path, Path, ModuleType], int]


def swept(*more: str) -> Command:
    """A sweep of which one job stands already, as the stranger has left it."""

    def command(folder: Path, original: Path) -> int:
        folder.rename(folder.parent / run_name([*SMALL, "seed=0"]))
        return train(["-m", *SMALL, "steps=8", "resume=auto", f"hydra.sweep.dir='{folder.parent}'", *more])

    return command


def condition_on(folder: Path) -> dict[str, object]:
    return {"run": str(folder), "factor": "style[0]", "above_quantile": 0.5}


def typed_holdout(folder: Path, original: Path) -> int:
    condition = f"dataset.holdout={{run: '{folder}', factor: 'style[0]', above_quantile: 0.5}}"
    return train([*SHORT, condition, "hydra.run.dir=other"])


def stored_holdout(folder: Path, original: Path) -> int:
    """The folder that is named is harmless but for a condition, which names the one that is not."""
    other = folder.parent / "other"
    shutil.copytree(original, other)
    change(other, ("dataset", "holdout"), condition_on(folder))
    return evaluate([str(other), "metrics=hoyer"])


COMMANDS: dict[str, Command] = {
    "resume": lambda folder, *_: train([f"resume={folder}", "steps=8"]),
    "resume from a checkpoint": lambda folder, *_: train([f"resume={folder}/checkpoints/last.pt", "steps=8"]),
    "resume=auto": lambda folder, *_: train([*SMALL, "steps=8", "resume=auto", f"hydra.run.dir={folder}"]),
    "evaluate": lambda folder, *_: evaluate([str(folder), "metrics=hoyer"]),
    "evaluate as it was": lambda folder, *_: evaluate([str(folder)]),
    "a sweep": swept("seed=0,1"),
    "a stacked group": swept("seed=0,1", "hydra/launcher=stacked"),
    "a search": swept(
        *("seed=choice(0)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "optimized_metric=test.elbo"),
        "hydra.sweeper.sampler.seed=0",
    ),
    "encode": lambda folder, *_: encode([str(folder), "out=codes.npz"]),
    "explore": lambda folder, *_: explore([str(folder)]),
    "a typed holdout": typed_holdout,
    "a stored holdout": stored_holdout,
}


# Pairs with every command and every place; the other pairs are marked slow.
QUICK = {*product(COMMANDS, ("model", "metrics")), *product(("resume", "evaluate"), PLACES)}


@pytest.mark.parametrize(
    ("command", "group"),
    [pair if pair in QUICK else pytest.param(*pair, marks=pytest.mark.slow) for pair in product(COMMANDS, PLACES)],
)
def test_nothing_that_a_folder_names_is_imported_or_called(
    command: str,
    group: str,
    folder: Path,
    original: Path,
    marks: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name_function(folder, group)
    assert COMMANDS[command](folder, original) == 2
    # A search adds a line of its own about having no result.
    (line,) = [each for each in error_lines(capsys) if "trust=" in each]
    assert f"{'.'.join(PLACES[group])}._target_='stranger.undeclared'" in line
    assert "trust=[stranger]" in line
    assert not list(marks.iterdir())
    assert "stranger" not in sys.modules


@pytest.mark.parametrize("module", ["hfvae_runner", "hfvae_runner.evaluate"])
def test_the_command_of_a_stranger_is_not_run(module: str, folder: Path) -> None:
    mark = folder.parent / "MARK"
    change(folder, ("dataset",), {"_target_": "os.system", "command": f"touch {mark}"})
    arguments = ["resume=run", "steps=8"] if module == "hfvae_runner" else ["run", "metrics=hoyer"]
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: run/config.yaml: dataset._target_='os.system': expected a function that")
    assert done.stderr.count("\n") == 1
    assert not mark.exists()


def test_a_report_shows_such_a_folder_without_importing(folder: Path, marks: Path) -> None:
    for group in ("dataset", "model", "metrics", "trackers"):
        name_function(folder, group)
    assert report([str(folder.parent)]) == 0
    assert ",completed," in (folder.parent / "results.csv").read_text()
    assert not list(marks.iterdir())


# What allows it


def test_a_trusted_module_is_run(folder: Path, marks: Path) -> None:
    name_function(folder, "dataset", "stranger.data")
    name_function(folder, "metrics", "stranger.metric")
    assert train([f"resume={folder}", "steps=4", "trust=[stranger]"]) == 0
    assert {path.name for path in marks.iterdir()} == {"imported", "called"}
    content = json.loads((folder / "metrics.json").read_text())
    assert content["run"]["steps"] == 4 and content["test"]["mine"] == 7.0
    assert evaluate([str(folder), "metrics=hoyer", "trust=[stranger]"]) == 0


def test_the_trust_that_a_folder_keeps_counts_for_nothing(
    folder: Path, marks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name_function(folder, "dataset", "stranger.data")
    change(folder, ("trust",), ["stranger"])
    assert train([f"resume={folder}", "steps=4"]) == 2
    assert evaluate([str(folder), "metrics=hoyer"]) == 2
    assert len(error_lines(capsys)) == 2
    assert not list(marks.iterdir())


def test_what_is_typed_again_is_run(folder: Path, marks: Path) -> None:
    name_function(folder, "dataset", "stranger.data")
    name_function(folder, "metrics", "stranger.metric")
    typed = ("dataset._target_=stranger.data", "+metrics.mine._target_=stranger.metric")
    assert train([f"resume={folder}", "steps=4", *typed]) == 0
    assert (marks / "called").exists()
    again = train([*SMALL, "steps=4", "resume=auto", f"hydra.run.dir={folder}", *typed])
    assert again == 0


def test_a_metric_of_one_s_own_is_measured_as_ever(folder: Path) -> None:
    assert evaluate([str(folder), "metrics=hoyer", "+metrics.mine._target_=stranger.metric"]) == 0
    assert json.loads((folder / "metrics.json").read_text())["test"]["mine"] == 7.0


def test_trust_makes_no_other_run() -> None:
    assert run_name(["seed=1", "trust=[stranger]"]) == run_name(["seed=1"])


@pytest.mark.parametrize("given", ["trust=stranger", "trust=[1]", "trust=a,b"])
def test_a_trust_that_is_no_list(given: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train([f"resume={folder}", "steps=4", given]) == 2
    assert evaluate([str(folder), given]) == 2
    assert all(line.startswith("error: trust=") for line in error_lines(capsys))


# What is typed is of its kind before it is called


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            ["likelihood._target_=os.system", "+likelihood.command='touch MARK'"],
            "os.system does not say what it returns; expected Likelihood, as a class or by an annotation: -> L",
        ),
        (["dataset._target_=stranger.undeclared"], "does not say what it returns; expected Dataset"),
        (
            ["likelihood._target_=subprocess.Popen", "+likelihood.args='touch MARK'", "+likelihood.shell=true"],
            "subprocess.Popen returns Popen; expected Likelihood",
        ),
        (["model._target_=stranger.undeclared"], "does not say what it returns; expected Networks"),
        (["model._target_=stranger.data", "+model.image_size=8"], "stranger.data returns Dataset; expected Networks"),
        (["+trackers.mine._target_=stranger.undeclared"], "does not say what it returns; expected Tracking"),
        (["+metrics.mine._target_=stranger.undeclared"], "does not say what it returns; expected Mapping"),
        (["+metrics.mine._target_=stranger.data", "+metrics.mine.image_size=8"], "takes no subject; expected a metric"),
    ],
)
def test_a_typed_function_is_not_called_to_find_out(
    typed: list[str], told: str, marks: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["device=cpu", "steps=2", *typed, "hydra.run.dir=run"]) == 2
    (line,) = error_lines(capsys)
    assert told in line
    assert not (marks / "called").exists()
    assert not (workplace / "MARK").exists()
    assert not (workplace / "run").exists()


# Text stays text


def test_an_interpolation_is_not_resolved(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    for text in ("${oc.env:SECRET}", "${hydra:runtime.cwd}", "${run_name:}"):
        change(folder, ("data_root",), text)
        assert train([f"resume={folder}", "trackers=[]"]) == 0
        assert train([f"resume={folder}", "steps=3"]) == 0
        assert evaluate([str(folder), "metrics=hoyer", "metrics.every=5"]) == 0
        assert yaml.safe_load((folder / "config.yaml").read_text())["data_root"] == text
        shutil.copytree(folder, folder.parent / "again")
        shutil.rmtree(folder)
        (folder.parent / "again").rename(folder)
    change(folder, ("choices", "dataset"), "${oc.env:SECRET}")
    change(folder, ("dataset", "subset"), "${oc.env:SECRET}")
    assert train([f"resume={folder}", "steps=4"]) == 2
    assert evaluate([str(folder), "metrics=hoyer"]) == 2
    captured = capsys.readouterr()
    assert "${oc.env:SECRET}" in captured.err
    written = "".join(path.read_text() for path in folder.glob("*.*") if path.suffix in (".yaml", ".json", ".log"))
    assert "hunter2" not in captured.err + captured.out + written


def test_text_that_steers_a_terminal_is_spelt_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, ("choices", "dataset"), "digits\x1b]0;x\x07")
    change(folder, ("dataset", "subset"), 10_000_000)
    assert train([f"resume={folder}", "steps=3"]) == 2
    assert train([f"resume={folder}", "steps=3", "dataset._target_=\x1b[2J"]) == 2
    assert "\x1b" not in capsys.readouterr().err
    change(folder, ("dataset", "subset"), 200)
    assert train([f"resume={folder}", "steps=3"]) == 0
    shown = capsys.readouterr().err
    assert "\x1b" not in shown and r"digits\x1b]0;x\x07" in shown


# Where a stored tracker sends


def test_a_stored_address_is_not_spoken_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = {
        "_target_": "hfvae_runner.trackers.mlflow.MLflow",
        "tracking_uri": "http://127.0.0.1:9",
        "experiment": "e",
    }
    change(folder, ("trackers",), {"mlflow": section})
    assert train([f"resume={folder}", "steps=3"]) == 2
    (line,) = error_lines(capsys)
    assert "trackers.mlflow.tracking_uri='http://127.0.0.1:9' may send the run elsewhere; expected that typed" in line
    assert train([f"resume={folder}", "steps=3", "trackers=[]"]) == 0
