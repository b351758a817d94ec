"""The run folder: its files and its lock.

All files are written atomically, except for ``run.log`` and the lines appended to ``history.csv`` and
``evaluations.jsonl``. So the files that a killed run leaves always show its state. A process that works in a folder
holds its lock, which ends with the process. This module does not need torch, since the command line inspects folders
before it decides to train.
"""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import yaml
from filelock import FileLock, Timeout

from hfvae_runner.config import stored
from hfvae_runner.config.stored import NOTHING, Allowed
from hfvae_runner.errors import CheckpointError, FolderInUse, RunnerError
from hfvae_runner.storage.files import atomic, flush_folder, strict_json, write_atomic
from hfvae_runner.storage.history import Evaluations, History
from hfvae_runner.storage.run_log import RunLog

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST = "last.pt"
EXPLORER = "explore.html"
"""The page of ``hfvae_runner.explore``."""
SCHEMA = 1
_MOST_BYTES = 1 << 24
_CONFIG, _METRICS, _STATUS, _HISTORY, _LOG = "config.yaml", "metrics.json", "status.json", "history.csv", "run.log"
_EVALUATIONS, _DATA = "evaluations.jsonl", "data.json"
_CHECKPOINTS, _FIGURES = "checkpoints", "figures"
_LOCK = ".lock"
_TRACKERS = "trackers"  # whose files belong to the tracking services
_STEP_FILE = re.compile(r"step_(\d+)\.pt")
_OURS = re.compile(
    rf"{_CONFIG}|{_DATA}|{_METRICS}|{_STATUS}|{_HISTORY}|{_EVALUATIONS}|{_LOG}|{_CHECKPOINTS}|{_FIGURES}"
    rf"|{_CHECKPOINTS}/(last|step_\d+)\.pt|{_FIGURES}/[^/]+\.png|(\w+/)?\.[^/]+\.tmp|{re.escape(_LOCK)}|{_TRACKERS}(/.*)?|{EXPLORER}"
)

Standing = Literal["absent", "leftover", "resumable", "finished"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the run folder against other processes; create it if it is missing.

    It is a lock of the operating system, which ends when the process ends for any reason.

    Raises:
        FolderInUse: another process holds the lock.
        CheckpointError: the folder cannot be written, or contains a link that leads out of it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_ways_out(folder)
        lock = FileLock(folder / _LOCK)
        lock.acquire(blocking=False)
    except Timeout:
        raise FolderInUse(f"run folder {folder} is in use by another process; expected to be alone in it") from None
    except OSError as error:
        raise CheckpointError(f"run folder {folder} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def inspect(folder: Path) -> Standing:
    """Return the state of a run folder; ``leftover`` means neither a checkpoint nor results, or an empty folder.

    Raises:
        CheckpointError: the path is not a folder.
    """
    if not folder.exists():
        return "absent"
    if not folder.is_dir():
        raise CheckpointError(f"run folder {folder} is a file; expected a folder or a free name")
    if (folder / _METRICS).exists():
        return "finished"
    return "leftover" if checkpoint_of(folder) is None else "resumable"


def checkpoint_of(folder: Path) -> Path | None:
    """Return the checkpoint to resume from: ``last.pt``, else the newest numbered one, else None."""
    last = folder / _CHECKPOINTS / LAST
    return last if last.exists() else next(iter(step_files(folder / _CHECKPOINTS)), None)


def source_of(init_from: str) -> Path:
    """Return the checkpoint that ``init_from`` names; raises CheckpointError where there is none."""
    path = Path(init_from)
    checkpoint = checkpoint_of(path) if path.is_dir() else path
    if checkpoint is None or not checkpoint.is_file():
        raise CheckpointError(f"init_from={init_from}: no checkpoint there; expected a run folder, or a checkpoint")
    return checkpoint


def step_files(checkpoints: Path) -> dict[Path, int]:
    """Return the numbered checkpoints and their steps, the newest first."""
    found = {path: _STEP_FILE.fullmatch(path.name) for path in checkpoints.glob("step_*.pt")}
    steps = {path: int(match[1]) for path, match in found.items() if match}
    return dict(sorted(steps.items(), key=lambda each: each[1], reverse=True))


def foreign(folder: Path) -> Path | None:
    """Return a file or folder in ``folder`` that no run writes, or None."""
    for path in sorted(folder.rglob("*")):
        if not _OURS.fullmatch(path.relative_to(folder).as_posix()):
            return path
    return None


def _refuse_ways_out(folder: Path) -> None:
    """Raise CheckpointError if the folder contains a link that leads out of it, or a special file.

    In a folder from another source, ``run.log`` could be a link to one of the user's start-up scripts.
    """
    home = folder.resolve()
    for inner in (folder, folder / _CHECKPOINTS, folder / _FIGURES, folder / _TRACKERS):
        for path in sorted(inner.iterdir()) if inner.is_dir() else ():
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise CheckpointError(f"{path} is a link out of the run folder; expected files of its own")
            if path.exists() and not path.is_file() and not path.is_dir():
                raise CheckpointError(f"{path} is neither a file nor a folder; expected one of them")


def load_config(folder: Path, allowed: Allowed = NOTHING) -> dict[str, object]:
    """Read a run folder's config in order to run it.

    Args:
        folder: the run folder.
        allowed: functions that the config may name in addition to the installed choices.

    Raises:
        CheckpointError: the config cannot be read.
        ConfigError: the config names another function.
    """
    return stored.guarded(read_config(folder), folder / _CONFIG, allowed)


def read_config(folder: Path) -> dict[str, object]:
    """Read a run folder's config without running it; raise CheckpointError if it cannot be read."""
    return stored.read(folder / _CONFIG)


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Write ``config.yaml`` atomically."""
    # In ASCII, since YAML would read some Unicode line breaks back as other ones.
    write_atomic(folder / _CONFIG, yaml.safe_dump(dict(config), sort_keys=False, width=120))


def write_data(folder: Path, description: Mapping[str, object]) -> None:
    """Write ``data.json``, from which the run's model is loaded where the data set is not at hand."""
    write_atomic(folder / _DATA, strict_json(description, _DATA, indent=1) + "\n")


def read_data(folder: Path) -> dict[str, object] | None:
    """Read a run folder's ``data.json``; None where there is none. Raises CheckpointError where it cannot be read."""
    path = folder / _DATA
    return read_json(path) if path.exists() else None


def read_json(path: Path) -> dict[str, object]:
    """Read a small JSON file that holds an object; raises CheckpointError where it is not one."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}; expected an object")
    return content


def write_status(folder: Path, status: str, reason: str, exit_code: int) -> None:
    """Write ``status.json`` of a run that did not finish; create the folder if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"status": status, "reason": reason, "exit_code": exit_code}
    write_atomic(folder / _STATUS, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_metrics(folder: Path) -> dict[str, object]:
    """Read a finished run's metrics.json; raise CheckpointError if it cannot be read."""
    path = folder / _METRICS
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected the folder of a finished run")
    try:
        metrics = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(metrics, dict) or metrics.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} is not a run's results; expected a mapping with schema {SCHEMA}")
    return metrics


def write_metrics(folder: Path, metrics: Mapping[str, object]) -> None:
    """Write ``metrics.json``, which marks the run as finished; raise ValueError for a number that is not finite."""
    write_atomic(folder / _METRICS, strict_json(metrics, _METRICS, indent=1) + "\n")


class RunFolder:
    """An open run folder with its log, history and results; a context manager.

    Attributes:
        path: the folder.
        checkpoints: its folder for checkpoints.
        history: the rows of ``history.csv``.
        evaluations: the lines of ``evaluations.jsonl``.

    While the folder is open, the package's log goes to the terminal (stderr, above a progress bar) and to ``run.log``,
    and ``run.log`` also gets the error that ends the run. If several folders are open, see ``logging_to``.
    """

    def __init__(self, path: Path, config: Mapping[str, object]) -> None:
        """Open the log and the history; called by ``create``, ``reopen`` and ``finished``."""
        self.path = path
        self.checkpoints = path / _CHECKPOINTS
        self._figures = path / _FIGURES
        self.checkpoints.mkdir(exist_ok=True)
        self._figures.mkdir(exist_ok=True)
        write_config(path, config)
        self.history = History(path / _HISTORY)
        self.evaluations = Evaluations(path / _EVALUATIONS)
        self._log = RunLog(path, _LOG)

    @classmethod
    def create(cls, path: Path, config: Mapping[str, object]) -> Self:
        """Create the folder of a new run; remove files of a run that was killed before its first checkpoint.

        Raises:
            CheckpointError: the folder holds a checkpoint, a result or a file that no run writes, or cannot be written.
        """
        if inspect(path) in ("resumable", "finished"):
            raise CheckpointError(
                f"run folder {path} holds a run already; give another name, or resume=auto to resume it"
            )
        if (stranger := foreign(path)) is not None:
            raise CheckpointError(f"run folder {path} holds {stranger.name!r}, which no run writes; give a free name")
        try:
            path.mkdir(parents=True, exist_ok=True)
            _remove(each for each in path.rglob("*") if not each.is_dir() and each.name != _LOCK)
            opened = cls(path, config)
            flush_folder(path.parent)
            return opened
        except OSError as error:
            raise CheckpointError(f"run folder {path} cannot be written: {error.strerror}") from error

    @classmethod
    def reopen(cls, path: Path, config: Mapping[str, object]) -> Self:
        """Open the folder of a run to resume it, possibly with more steps than in ``config.yaml``.

        Raises:
            CheckpointError: there is no checkpoint to resume from, or the folder cannot be written.
        """
        if checkpoint_of(path) is None:
            raise CheckpointError(f"{path / _CHECKPOINTS / LAST} is missing; expected the checkpoint of an earlier run")
        try:
            # Remove the results before writing the longer config: a folder of a run killed in between must count as
            # resumable, not as a longer run that has finished.
            _remove([path / _METRICS, path / _STATUS])
            for folder in (path, path / _CHECKPOINTS, path / _FIGURES):
                _remove(folder.glob(".*.tmp"))
            return cls(path, config)
        except OSError as error:
            raise CheckpointError(f"run folder {path} cannot be written: {error.strerror}") from error

    @classmethod
    def finished(cls, path: Path, config: Mapping[str, object]) -> Self:
        """Open the folder of a finished run to measure it again; its results stay until they are replaced.

        Raises:
            CheckpointError: the folder holds no finished run, or cannot be written.
        """
        if inspect(path) != "finished":
            raise CheckpointError(f"{path} holds no finished run; expected the folder of one")
        try:
            return cls(path, config)
        except OSError as error:
            raise CheckpointError(f"run folder {path} cannot be written: {error.strerror}") from error

    def discard_after(self, step: int) -> None:
        """Remove the rows and evaluations after ``step``."""
        self.history.truncate(step)
        self.evaluations.truncate(step)

    def flush(self) -> None:
        """Flush all appended lines to the disk; called before each checkpoint, so that none is newer than the lines."""
        self.history.flush()
        self.evaluations.flush()
        flush_folder(self.path)

    def last_good(self) -> str:
        """Describe the checkpoint from which a run that ends now can be resumed."""
        last = checkpoint_of(self.path)
        return "there is no checkpoint before it" if last is None else f"the last good checkpoint is {last.resolve()}"

    def save_figure(self, name: str, figure: "Figure") -> None:
        """Write ``figures/NAME.png``."""
        with atomic(self._figures / f"{name}.png") as stream:
            figure.savefig(stream, format="png", dpi=150)

    def close(self) -> None:
        """Close the log and the history; a second call has no effect."""
        self.history.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            explained = isinstance(error, RunnerError)
            text = f"error: {error}" if explained else "".join(traceback.format_exception(error)).rstrip()
            # To the file only: the command line prints the error after the folder is closed.
            self._log.write(text)
        self.close()


def _remove(paths: Iterator[Path] | list[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)
