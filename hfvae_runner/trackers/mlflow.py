"""Runs in an MLflow store: a local SQLite file, or a server."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock

from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.files import write_atomic
from hfvae_runner.trackers._tracker import About, Row, Status, Tracker, Tracking, check_text, require

_LOCAL = "sqlite:///"
_DEFAULT_STORE = f"{_LOCAL}outputs/mlflow/mlflow.db"
_ENDED: Mapping[Status, str] = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
# MLflow's own limits.
_METRICS_AT_ONCE, _PARAMETERS_AT_ONCE, _PARAMETER_LENGTH = 1000, 100, 6000
_BRACKETS, _NOT_IN_NAMES = re.compile(r"\[([^][]*)\]"), re.compile(r"[^\w\-. /]", re.ASCII)


class MLflow(Tracking):
    """The options of MLflow.

    Args:
        tracking_uri: ``sqlite:///FILE``, relative to the current folder, or a server's address. None takes the
            environment variable MLFLOW_TRACKING_URI, else ``outputs/mlflow/mlflow.db``.
        experiment: the experiment's name; it is created if it does not exist.
    """

    def __init__(self, *, tracking_uri: str | None, experiment: str) -> None:
        check_text("trackers.mlflow.experiment", experiment)
        if tracking_uri is not None:
            check_text("trackers.mlflow.tracking_uri", tracking_uri)
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT_STORE
        scheme, separator, _ = self._uri.partition(":")
        named = scheme != "sqlite" or (self._uri.startswith(_LOCAL) and self._uri != _LOCAL)
        # MLflow no longer supports its file store.
        if not separator or scheme == "file" or not named:
            raise ConfigError(
                f"trackers.mlflow.tracking_uri={self._uri!r}: expected sqlite:///FILE or the http address of a server"
            )
        of_database = () if scheme in ("http", "https") else ("sqlalchemy", "alembic")
        require("mlflow", "mlflow", *of_database)
        self._experiment = experiment

    def open(self, about: About) -> Tracker:
        return _Run(about, self._uri, self._experiment)


class _Run(Tracker):
    """One run: rows and results as metrics, the config as parameters and as an artifact, figures as artifacts.

    MLflow can neither replace nor remove a value. A resumed run continues the same MLflow run, and a row that the store
    already holds keeps its first values. Brackets, which MLflow refuses, are replaced: ``style[0]`` is ``style.0``.
    """

    def __init__(self, about: About, uri: str, experiment: str) -> None:
        # MLflow reads these at its import: no usage reports, and few retries, so that a server that is down costs
        # seconds.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        with _alone(uri):
            self._client = MlflowClient(uri)
        self._held: dict[str, set[int]] = {}
        self._id, self._goes_on = self._identify(about, uri, experiment)
        self._describe(about)
        for step, values in about.past():
            self.row(step, values)

    def row(self, step: int, values: Row) -> None:
        from mlflow.entities import Metric

        named = {_name(name): value for name, value in values.items()}
        if not named or step in self._steps_of(next(iter(named))):
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in named.items()]
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(self._id, metrics=metrics[start : start + _METRICS_AT_ONCE])

    def results(self, step: int, values: Row, figures: Sequence[Path]) -> None:
        self.row(step, values)
        for path in figures:
            self._client.log_artifact(self._id, str(path), "figures")

    def close(self, status: Status) -> None:
        self._client.set_terminated(self._id, _ENDED[status])

    def _identify(self, about: About, uri: str, experiment: str) -> tuple[str, bool]:
        """Return the run's identifier, and whether the store already holds the run; create it if not."""
        from mlflow.exceptions import MlflowException

        note = about.own("mlflow.json")
        if note.exists():
            known: str = json.loads(note.read_bytes())["run_id"]
            try:
                found = self._client.get_run(known)
            except MlflowException as error:
                # The store has changed, or the run was removed from it: create it with all its rows.
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                if found.info.lifecycle_stage == "active":
                    self._client.update_run(known, status="RUNNING")
                    return known, True
        tags = {"run_folder": str(about.folder.resolve())}
        made = self._client.create_run(self._experiment_id(uri, experiment), run_name=about.name, tags=tags)
        note.parent.mkdir(exist_ok=True)
        write_atomic(note, json.dumps({"run_id": made.info.run_id}) + "\n")
        return made.info.run_id, False

    def _experiment_id(self, uri: str, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if (found := self._client.get_experiment_by_name(name)) is None:
            # By default MLflow puts the artifacts of a local store into the current folder.
            local = _local(uri)
            place = None if local is None else (local.parent / "artifacts").as_uri()
            try:
                return self._client.create_experiment(name, place)
            except MlflowException:
                # Another job of the sweep may have created it in between.
                if (found := self._client.get_experiment_by_name(name)) is None:
                    raise
        return found.experiment_id

    def _describe(self, about: About) -> None:
        from mlflow.entities import Param

        # A parameter cannot be changed: if steps are added, only the artifact config.yaml has the new number.
        held = self._client.get_run(self._id).data.params if self._goes_on else {}
        given = {_name(key): str(value)[:_PARAMETER_LENGTH] for key, value in about.hyperparameters().items()}
        parameters = [Param(key, value) for key, value in given.items() if key not in held]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(self._id, params=parameters[start : start + _PARAMETERS_AT_ONCE])
        shown = yaml.safe_dump(dict(about.config), sort_keys=False, allow_unicode=True)
        self._client.log_text(self._id, shown, "config.yaml")

    def _steps_of(self, name: str) -> set[int]:
        """Return the steps at which the store held a metric when the run was resumed; a row uses its first metric's."""
        if not self._goes_on:
            return set()
        if name not in self._held:
            self._held[name] = {metric.step for metric in self._client.get_metric_history(self._id, name)}
        return self._held[name]


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Lock a local store for one job of a sweep at a time, since the first one creates or upgrades the store."""
    local = _local(uri)
    if local is None:
        yield
        return
    local.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{local}.lock"):
        yield


def _local(uri: str) -> Path | None:
    """Return the file of a local store; None for a server."""
    return Path(uri.removeprefix(_LOCAL)).resolve() if uri.startswith(_LOCAL) else None


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("_", _BRACKETS.sub(r".\1", text))
