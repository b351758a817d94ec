"""What all trackers share: the numbers they are given, and that none of them can end a run."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hfvae_runner.errors import ConfigError, DataError
from hfvae_runner.storage.history import History
from hfvae_runner.trackers import About, Row, Status, Tracker, Trackers, Tracking, numbers
from hfvae_runner.trackers.mlflow import MLflow
from hfvae_runner.trackers.tensorboard import TensorBoard
from hfvae_runner.trackers.wandb import WandB

CONFIG: dict[str, object] = {
    "seed": 0,
    "steps": None,
    "train": {"betas": [0.9, 0.999], "progress": True},
    "resume": "auto",
    "debug": False,
    "trackers": {"mlflow": {"experiment": "e"}},
}


class Notes(Tracker, Tracking):
    """Writes down what it is told; raises what it is made with at the named method."""

    def __init__(self, fails_at: str = "", error: BaseException | None = None) -> None:
        self.told: list[tuple[object, ...]] = []
        self._fails_at, self._error = fails_at, error or RuntimeError("the server\nis down")

    def fail_at(self, where: str) -> None:
        self._fails_at = where

    def open(self, about: About) -> Tracker:
        self._note("open", about.step)
        return self

    def row(self, step: int, values: Row) -> None:
        self._note("row", step, dict(values))

    def results(self, step: int, values: Row, figures: Sequence[Path]) -> None:
        self._note("results", step, dict(values), [path.name for path in figures])

    def close(self, status: Status) -> None:
        self._note("close", status)

    def _note(self, what: str, *told: object) -> None:
        self.told.append((what, *told))
        if what == self._fails_at:
            raise self._error


def test_a_run_is_handed_to_every_tracker(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("b.png", "a.png", "b.txt"):
        (tmp_path / "figures" / name).touch()
    first, second = Notes(), Notes()
    with Trackers.open({"first": first, "second": second}, tmp_path, CONFIG, 3) as trackers:
        trackers.row(5, {"step": 5, "loss": 0.5})
        trackers.results(6, {"schema": 1, "test": {"elbo": -1.5}})
    assert first.told == second.told
    assert first.told == [
        ("open", 3),
        ("row", 5, {"loss": 0.5}),
        ("results", 6, {"test/elbo": -1.5}, ["a.png", "b.png"]),
        ("close", "completed"),
    ]


def test_what_was_measured_at_the_last_step_is_not_handed_on_twice(tmp_path: Path) -> None:
    notes = Notes()
    with Trackers.open({"notes": notes}, tmp_path, CONFIG, 0) as trackers:
        trackers.row(4, {"step": 4, "test": {"elbo": -2.0, "mig": 0.2}})
        trackers.row(6, {"step": 6, "loss": 0.5})
        trackers.row(6, {"step": 6, "test": {"elbo": -1.5}})
        trackers.results(6, {"test": {"elbo": -1.5, "mig": 0.25}})
    assert notes.told[2:-1] == [
        ("row", 6, {"loss": 0.5}),
        ("row", 6, {"test/elbo": -1.5}),
        ("results", 6, {"test/mig": 0.25}, []),
    ]


def test_a_run_that_is_taken_back_goes_on_from_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes, broken = Notes(), Notes()
    with Trackers.open({"a": broken, "b": notes}, tmp_path, CONFIG, 0) as trackers:
        trackers.row(5, {"loss": 0.5})
        broken.fail_at("open")
        trackers.discard_after(3)
        trackers.row(4, {"loss": 0.4})
    row = {"loss": 0.5}
    assert notes.told[1:4] == [("row", 5, row), ("close", "interrupted"), ("open", 3)]
    assert notes.told[4:] == [("row", 4, {"loss": 0.4}), ("close", "completed")]
    assert broken.told[2:] == [("close", "interrupted"), ("open", 3), ("close", "failed")]
    assert [record.message for record in caplog.records] == [
        "trackers.a: the server is down; it is closed, the run continues"
    ]


@pytest.mark.parametrize(
    ("ending", "status"),
    [(RuntimeError, "failed"), (SystemExit, "interrupted"), (KeyboardInterrupt, "interrupted")],
)
def test_how_a_run_ended_is_said(tmp_path: Path, ending: type[BaseException], status: str) -> None:
    notes = Notes()
    with pytest.raises(ending), Trackers.open({"notes": notes}, tmp_path, CONFIG, 0):
        raise ending
    assert notes.told[-1] == ("close", status)


@pytest.mark.parametrize("where", ["row", "results"])
def test_a_tracker_that_fails_is_closed_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    broken, sound = Notes(where), Notes()
    with caplog.at_level(logging.WARNING), Trackers.open({"a": broken, "b": sound}, tmp_path, CONFIG, 0) as trackers:
        trackers.row(1, {"loss": 1.0})
        trackers.row(2, {"loss": 2.0})
        trackers.results(2, {})
    assert [told[0] for told in sound.told] == ["open", "row", "row", "results", "close"]
    assert broken.told[-1] == ("close", "failed")
    assert [told[0] for told in broken.told].count(where) == 1
    assert [record.message for record in caplog.records] == [
        "trackers.a: the server is down; it is closed, the run continues"
    ]


def test_a_tracker_that_cannot_even_be_closed_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Notes("close"), Notes()
    Trackers.open({"a": broken, "b": sound}, tmp_path, CONFIG, 0).close("completed")
    assert sound.told[-1] == ("close", "completed")
    assert len(caplog.records) == 1


def test_a_tracker_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    sound = Notes()
    with pytest.raises(ConfigError, match=r"^trackers\.b cannot be opened: the server is down$"):
        Trackers.open({"a": sound, "b": Notes("open")}, tmp_path, CONFIG, 0)
    assert sound.told[-1] == ("close", "failed")
    with pytest.raises(DataError, match=r"^as it is$"):
        Trackers.open({"b": Notes("open", DataError("as it is"))}, tmp_path, CONFIG, 0)


def test_numbers_are_named_by_their_path() -> None:
    metrics = {
        "schema": 1,
        "status": "completed",
        "measured": {"mig": {"samples": 10}},
        "run": {"steps": 20, "device": "cpu"},
        "test": {"elbo": -1.5, "mig": None, "mig_why": "one value", "kl_per_factor": {"style[0]": 3.0}, "ok": True},
        "topics": {"by_information": [{"name": "a", "npmi": 0.5}]},
    }
    assert numbers(metrics) == {
        "run/steps": 20,
        "test/elbo": -1.5,
        "test/kl_per_factor/style[0]": 3.0,
        "topics/by_information[0]/npmi": 0.5,
    }


def test_hyperparameters_are_the_config_but_for_how_it_is_logged(tmp_path: Path) -> None:
    assert About(tmp_path, CONFIG, 0).hyperparameters() == {
        "seed": 0,
        "steps": "null",
        "train.betas": "[0.9, 0.999]",
        "train.progress": True,
    }


def test_the_past_is_what_the_run_folder_holds(tmp_path: Path) -> None:
    about = About(tmp_path, CONFIG, 4)
    assert about.past() == []
    history = History(tmp_path / "history.csv")
    for step in (1, 2, 4, 5):
        history.append({"step": step, "loss": 1 / step})
    history.close()
    lines = [json.dumps({"step": step, "test": {"elbo": -1.0, "mig": None}}) for step in (2, 4, 6)]
    (tmp_path / "evaluations.jsonl").write_text("\n".join(lines) + "\n")
    elbo = {"test/elbo": -1.0}
    assert about.past() == [(1, {"loss": 1.0}), (2, {"loss": 0.5}), (2, elbo), (4, {"loss": 0.25}), (4, elbo)]


def test_a_missing_package_is_refused_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tensorboard", "mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r'trackers=tensorboard: .* pip install "hfvae_runner\[tensorboard\]"$'):
        TensorBoard()
    with pytest.raises(ConfigError, match=r"'mlflow' is not installed"):
        MLflow(tracking_uri="http://127.0.0.1:1", experiment="e")
    with pytest.raises(ConfigError, match=r"'wandb' is not installed"):
        WandB(project="p", entity=None, mode="offline", tags=[])
