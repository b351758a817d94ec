"""Runs in a local store, read back through MLflow's own client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from states import random_states

from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.history import History
from hfvae_runner.trackers import Trackers
from hfvae_runner.trackers.mlflow import MLflow

CONFIG: dict[str, object] = {"seed": 7, "steps": 3, "train": {"betas": [0.9, 0.999]}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made once: it takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/below/store.db"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing is written to the current folder or the user's own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(elsewhere))
    yield
    assert not list(elsewhere.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "beta=4 ä"
    (made / "figures").mkdir(parents=True)
    (made / "figures" / "traversals.png").write_bytes(b"pixels")
    return made


def client_of(store: str) -> Any:
    """MLflow's own client, whose import takes seconds."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(store)


def opened(store: str, folder: Path, step: int, config: dict[str, object] = CONFIG) -> Trackers:
    return Trackers.open({"mlflow": MLflow(tracking_uri=store, experiment="digits")}, folder, config, step)


def track(trackers: Trackers, folder: Path, start: int, stop: int) -> None:
    """Rows after ``start``, as the loop writes them, each also into history.csv."""
    history = History(folder / "history.csv")
    history.truncate(start)
    for step in range(start + 1, stop + 1):
        row = {"step": step, "loss": float(step), "kl/style[0]": step / 2}
        history.append(row)
        trackers.row(step, row)
    history.close()


def identifier(folder: Path) -> str:
    return str(json.loads((folder / "trackers" / "mlflow.json").read_text())["run_id"])


def metric(store: str, run: str, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in client_of(store).get_metric_history(run, name)]


def test_a_run_is_read_back(store: str, folder: Path) -> None:
    before = random_states()
    with opened(store, folder, 0) as trackers:
        track(trackers, folder, 0, 3)
        trackers.results(3, {"test": {"elbo": -1.5, "mig": None, "kl_per_factor": {"style[0]": 0.5}}})
    assert random_states() == before

    client, run = client_of(store), identifier(folder)
    found = client.get_run(run)
    assert (found.info.run_name, found.info.status) == ("beta=4 ä", "FINISHED")
    experiment = client.get_experiment(found.info.experiment_id)
    assert experiment.name == "digits"
    assert experiment.artifact_location == f"file://{Path(store.removeprefix('sqlite:///')).parent}/artifacts"
    assert metric(store, run, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert metric(store, run, "kl/style.0") == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert metric(store, run, "test/elbo") == [(3, -1.5)]
    assert metric(store, run, "test/kl_per_factor/style.0") == [(3, 0.5)]
    assert "test/mig" not in found.data.metrics
    assert found.data.params == {"seed": "7", "steps": "3", "train.betas": "[0.9, 0.999]"}
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "figures" / "traversals.png").read_bytes() == b"pixels"
    assert yaml.safe_load((artifacts / "config.yaml").read_text()) == CONFIG


def test_a_killed_run_that_goes_on_is_the_same_run_and_has_each_row_once(store: str, folder: Path) -> None:
    killed = opened(store, folder, 0)
    track(killed, folder, 0, 5)
    first = identifier(folder)
    History(folder / "history.csv").truncate(3)
    with opened(store, folder, 3, {**CONFIG, "steps": 7}) as trackers:
        assert client_of(store).get_run(first).info.status == "RUNNING"
        track(trackers, folder, 3, 7)
        trackers.results(7, {"test": {"elbo": -1.5}})
    assert identifier(folder) == first
    steps = [(step, float(step)) for step in range(1, 8)]
    assert metric(store, first, "loss") == steps
    found = client_of(store).get_run(first)
    # MLflow keeps a parameter as it was first.
    assert found.data.params["steps"] == "3"
    artifact = Path(found.info.artifact_uri.removeprefix("file://")) / "config.yaml"
    assert yaml.safe_load(artifact.read_text())["steps"] == 7


def test_a_run_that_was_removed_starts_anew_with_its_past(store: str, folder: Path) -> None:
    with opened(store, folder, 0) as trackers:
        track(trackers, folder, 0, 2)
    first = identifier(folder)
    client_of(store).delete_run(first)
    with opened(store, folder, 2) as trackers:
        track(trackers, folder, 2, 3)
    assert identifier(folder) != first
    assert metric(store, identifier(folder), "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    (folder / "trackers" / "mlflow.json").write_text(json.dumps({"run_id": "0" * 32}))
    opened(store, folder, 3).close("interrupted")
    assert metric(store, identifier(folder), "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert client_of(store).get_run(identifier(folder)).info.status == "KILLED"


def test_a_store_that_refuses_a_row_does_not_end_the_run(
    store: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(store, folder, 0) as trackers:
        client_of(store).delete_run(identifier(folder))
        trackers.row(1, {"loss": 1.0})
        trackers.row(2, {"loss": 2.0})
    (warning,) = [record.message for record in caplog.records if record.name.startswith("hfvae_runner")]
    assert warning.startswith(f"trackers.mlflow: The run {identifier(folder)} must be in")
    assert warning.endswith("; it is closed, the run continues")


def test_a_server_that_is_not_there_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=r"^trackers\.mlflow cannot be opened: API request to .* failed"):
        opened("http://127.0.0.1:9", folder, 0)


@pytest.mark.parametrize("address", ["mlruns", "file:///mlruns", "sqlite://", "sqlite:///", ""])
def test_an_address_that_is_no_store_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^trackers\.mlflow\.tracking_uri="):
        MLflow(tracking_uri=address, experiment="e")


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    with pytest.raises(ConfigError, match="'mlruns'"):
        MLflow(tracking_uri=None, experiment="e")
    MLflow(tracking_uri="sqlite:///a.db", experiment="e")


def test_the_experiment_is_a_text() -> None:
    with pytest.raises(ConfigError, match=r"^trackers\.mlflow\.experiment=3: expected some text$"):
        MLflow(tracking_uri=None, experiment=3)  # type: ignore[arg-type]
