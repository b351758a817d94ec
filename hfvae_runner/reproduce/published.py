"""Publishes a study's runs without their checkpoints, and restores them, so that another machine adds to them.

A published run is one line of JSON: its sweep, the name of its folder, its config and its results. A figure that is
made of the runs' own pictures cannot be drawn from these, so such a study is published without its runs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hfvae_runner.errors import CheckpointError, DataError, nearest
from hfvae_runner.report.runs import checked_config, checked_metrics, plain
from hfvae_runner.reproduce.results import STUDY, load
from hfvae_runner.reproduce.runs import RUNS, Found
from hfvae_runner.reproduce.study import Size, Study
from hfvae_runner.storage import run_folder
from hfvae_runner.storage.files import strict_json

FILE = "runs.jsonl"
_KEYS = ("sweep", "folder", "config", "metrics")
_MOST_BYTES = 1 << 26
_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_DATA_ROOT = "data"
"""Takes the place of a machine's own folder of data; a run may be resumed with another one."""


@dataclass(frozen=True)
class PublishedRun:
    """One line of the file.

    Attributes:
        sweep: its name in the study.
        folder: name of the run folder.
        config: the resolved config.
        metrics: the content of metrics.json.
    """

    sweep: str
    folder: str
    config: Mapping[str, object]
    metrics: Mapping[str, object]


def lines(found: Found) -> str | None:
    """Return the file's content for the finished runs; None without any, or if the figure needs the runs' pictures."""
    if found.study.figure.kind in ("pictures", "figures") or not found.all_completed():
        return None
    made = [
        {"sweep": sweep, "folder": run.path.name, "config": _without_places(run.config), "metrics": run.metrics}
        for sweep, runs in found.runs.items()
        for run in runs
        if run.metrics
    ]
    return "".join(f"{strict_json(each, FILE)}\n" for each in made)


def read(place: Path, study: Study, size: Size) -> list[PublishedRun]:
    """Read the runs of one size that were published in a study's folder; none where it has another size, or no runs.

    Raises:
        DataError: a file is not what this program publishes, or names a sweep that the study does not have.
    """
    path = place / FILE
    if not path.exists() or not (place / STUDY).exists() or load(place / STUDY)["size"] != size:
        return []
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes; expected at most {_MOST_BYTES}")
        texts = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return [_run(text, f"{path}, line {number}", study, size) for number, text in enumerate(texts, 1)]


def restore(runs: list[PublishedRun], folder: Path) -> int:
    """Write the published runs that are missing below a study's folder; return how many were written.

    A run that stands there, finished or not, is left as it is.

    Raises:
        FolderInUse: another process works on one of them.
        CheckpointError: a folder cannot be written.
    """
    count = 0
    for run in runs:
        place = folder / RUNS / run.sweep / run.folder
        # Without metrics.json, a folder whose writing was interrupted counts as one of a run that has not started.
        if run_folder.inspect(place) not in ("absent", "leftover") or _is_foreign(place):
            continue
        with run_folder.locked(place):
            try:
                run_folder.write_config(place, run.config)
                run_folder.write_metrics(place, run.metrics)
            except OSError as error:
                raise CheckpointError(f"run folder {place} cannot be written: {error.strerror}") from error
        count += 1
    return count


def _without_places(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config with the default folder of data in the place of this machine's."""
    content = dict(config)
    if "data_root" in content:
        content["data_root"] = _DATA_ROOT
    dataset = content.get("dataset")
    if isinstance(dataset, Mapping) and "root" in dataset:
        content["dataset"] = {**dataset, "root": _DATA_ROOT}
    return content


def _run(text: str, where: str, study: Study, size: Size) -> PublishedRun:
    try:
        content = plain(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(content, dict) or sorted(content) != sorted(_KEYS):
        raise DataError(f"{where} is not a published run; expected {', '.join(_KEYS)}")
    sweep, folder, config, metrics = (content[key] for key in _KEYS)
    known = tuple(study.sweeps_of(size))
    if sweep not in known:
        raise DataError(f"{where}: sweep {sweep!r}; expected one of {', '.join(known)}{nearest(str(sweep), known)}")
    if not isinstance(folder, str) or not _FOLDER.fullmatch(folder):
        raise DataError(f"{where}: folder {folder!r}; expected a run folder's name")
    if not isinstance(metrics, dict):
        raise DataError(f"{where}: metrics is {type(metrics).__name__}; expected a mapping")
    try:
        return PublishedRun(sweep, folder, checked_config(config), checked_metrics(metrics))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _is_foreign(place: Path) -> bool:
    return place.exists() and run_folder.foreign(place) is not None
