"""Runs of Weights & Biases: offline through its own files, online against a stand-in for its library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.history import History
from hfvae_runner.trackers import Trackers
from hfvae_runner.trackers.wandb import WandB

HERE = Path(__file__).parent
OPTIONS: dict[str, Any] = {"project": "digits", "entity": None, "mode": "offline", "tags": []}


def offline(folder: Path, home: Path, start: int, stop: int, ending: str) -> dict[str, Any]:
    """What the program prints; nothing where it is killed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "XDG_"))}
    environment |= {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE))),
        # No key, and no server that could answer.
        "WANDB_BASE_URL": "http://127.0.0.1:9",
    }
    command = [
        sys.executable,
        "-W",
        "error",
        str(HERE / "wandb_program.py"),
        str(folder),
        str(start),
        str(stop),
        ending,
    ]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)
    if ending == "killed":
        assert done.returncode == -9, done.stderr
        return {}
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def rows(part: dict[str, Any]) -> list[tuple[int, float, float]]:
    return [(row["_step"], row["loss"], row["kl/style[0]"]) for row in part["rows"]]


@pytest.mark.slow
def test_offline_files_hold_each_row_once_whatever_happens_to_the_run(tmp_path: Path) -> None:
    folder, home = tmp_path / "beta=4 ä", tmp_path / "home"
    (folder / "figures").mkdir(parents=True)
    (home / "tmp").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "figures" / "traversals.png")

    # Killed after more rows than the checkpoint knows of: all is written anew.
    offline(folder, home, 0, 5, "killed")
    printed = offline(folder, home, 3, 6, "completed")
    assert printed["same_random_states"]
    (part,) = printed["files"]
    assert rows(part) == [(1, 1, 0.5), (2, 2, 1), (3, 3, 1.5), (4, 7, 2), (5, 8, 2.5), (6, 9, 3)]
    assert part["id"] == json.loads((folder / "trackers" / "wandb.json").read_text())["id"]
    assert (part["name"], part["project"], part["tags"], part["exit_code"]) == ("beta=4 ä", "digits", ["a", "b"], 0)
    config = {name: value for name, value in part["config"].items() if not name.startswith("_")}
    assert config == {"seed": 7, "steps": None, "train": {"betas": [0.9, 0.999]}}
    assert part["summary"]["test/elbo"] == -1.5
    assert part["summary"]["test/kl_per_factor/style[0]"] == 0.5
    assert not [name for name in part["summary"] if "mig" in name]
    figure = part["rows"][-1]["figures/traversals/path"]
    assert (Path(part["path"]).parent / "files" / figure).read_bytes() == (
        folder / "figures" / "traversals.png"
    ).read_bytes()

    # Uploaded, as the mark of `wandb sync` says: what follows is a part of its own.
    Path(f"{part['path']}.synced").touch()
    uploaded, following = offline(folder, home, 6, 8, "completed")["files"]
    assert uploaded == part
    assert rows(following) == [(7, 13, 3.5), (8, 14, 4)]
    assert following["id"] == part["id"]

    elsewhere = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert elsewhere <= {(".cache", "wandb")}


class Library(ModuleType):
    """Stands in for wandb: a server that holds the rows before ``starting_step``."""

    Settings = SimpleNamespace
    Image = str

    def __init__(self, place: Path, starting_step: int) -> None:
        super().__init__("wandb")
        # Which importlib asks for.
        self.__spec__ = SimpleNamespace(name="wandb")  # type: ignore[assignment]
        self.starting_step = starting_step
        self.url = "https://server/run"
        self.dir = str(place / "run-1" / "files")
        self.asked: dict[str, Any] = {}
        self.reports = ""
        self.logged: list[tuple[int | None, dict[str, Any]]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def init(self, **asked: Any) -> "Library":
        self.asked, self.reports = asked, os.environ.get("WANDB_ERROR_REPORTING", "")
        return self

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def test_online_the_same_run_gets_the_rows_that_its_server_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    library = Library(tmp_path, starting_step=3)
    monkeypatch.setitem(sys.modules, "wandb", library)
    history = History(tmp_path / "history.csv")
    for step in (1, 2, 3, 4):
        history.append({"step": step, "loss": float(step)})
    history.close()
    chosen = {"wandb": WandB(**{**OPTIONS, "mode": "online", "entity": "lab"})}
    with pytest.raises(SystemExit), Trackers.open(chosen, tmp_path, {"seed": 7}, 4) as trackers:
        trackers.row(5, {"loss": 5.0})
        raise SystemExit(143)
    assert library.logged == [(3, {"loss": 3.0}), (4, {"loss": 4.0}), (5, {"loss": 5.0})]
    assert library.exit_code == 1
    assert library.asked["mode"] == "online"
    assert library.asked["resume"] == "allow"
    assert library.asked["entity"] == "lab"
    assert library.asked["config"] == {"seed": 7}
    first = library.asked["id"]
    Trackers.open(chosen, tmp_path, {}, 5).close("completed")
    assert library.asked["id"] == first
    assert library.exit_code == 0
    assert library.reports == ""


def test_offline_no_report_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    monkeypatch.delenv("WANDB_ERROR_REPORTING")
    library = Library(tmp_path, starting_step=0)
    monkeypatch.setitem(sys.modules, "wandb", library)
    Trackers.open({"wandb": WandB(**OPTIONS)}, tmp_path, {}, 0).close("completed")
    assert (library.asked["mode"], library.asked["resume"], library.reports) == ("offline", None, "false")


def test_a_part_that_was_killed_and_uploaded_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setitem(sys.modules, "wandb", Library(tmp_path, starting_step=0))
    part = "offline-run-1-abc"
    (tmp_path / "trackers" / "wandb" / part).mkdir(parents=True)
    (tmp_path / "trackers" / "wandb" / part / "run-abc.wandb.synced").touch()
    (tmp_path / "trackers" / "wandb.json").write_text(json.dumps({"id": "abc", "parts": {part: None}}))
    Trackers.open({"wandb": WandB(**OPTIONS)}, tmp_path, {}, 0).close("completed")
    assert f"trackers.wandb: {part} was uploaded, but how far is not known: remove run abc" in caplog.text


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("project", "", r'project="": expected some text'),
        ("entity", 3, "entity=3: expected some text"),
        ("mode", "ofline", "mode='ofline': expected one of offline, online; did you mean 'offline'"),
        ("tags", "a", 'tags="a": expected a list of texts'),
        ("tags", [1], r"tags=\[1\]: expected a list of texts"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(option: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"^trackers\.wandb\.{expected}"):
        WandB(**{**OPTIONS, option: value})
