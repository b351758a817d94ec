"""Finds run folders and reads their files within limits."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NoReturn

from hfvae_runner.config.schema import GROUPS
from hfvae_runner.console import spelt_out
from hfvae_runner.errors import CheckpointError, DataError
from hfvae_runner.report.settings import as_text, settings_of
from hfvae_runner.storage.run_folder import EXPLORER, read_config

COMPLETED, UNFINISHED, UNREADABLE = "completed", "unfinished", "unreadable"
_FAILURES = ("failed", "diverged")
STATUSES = (COMPLETED, *_FAILURES, UNFINISHED, UNREADABLE)
_CONFIG, _METRICS, _STATUS = "config.yaml", "metrics.json", "status.json"
HISTORY = "history.csv"
_SCHEMA = 1
_SECTIONS = ("run", "train", "test")
_MOST_BYTES = {_METRICS: 1 << 25, _STATUS: 1 << 20}
_MOST_VALUES, DEEPEST = 1_000_000, 40
"""The largest number of values of a file, and its deepest nesting."""
_NUMBERS = (float, int, bool, type(None))
_MALFORMED = (ValueError, LookupError, AttributeError, RecursionError)
"""Errors that the parser raises, besides its own, for malformed text."""


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        path: the folder, without symbolic links.
        name: the folder's path relative to the report's folder.
        status: ``completed``, ``failed``, ``diverged``, ``unfinished``, or ``unreadable`` if a file is malformed.
        reason: the reason why it is not completed; empty if it is, or if the reason is unknown.
        config: the resolved config; empty if it cannot be read.
        metrics: the content of metrics.json; empty unless completed.
        signature: a text that changes with every file of the run that a report reads.
    """

    path: Path
    name: str
    status: str
    reason: str
    config: Mapping[str, object]
    metrics: Mapping[str, object]
    signature: str

    @cached_property
    def settings(self) -> Mapping[str, object]:
        """The config's settings, from `settings_of`."""
        return settings_of(self.config)

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The settings as text, as on the command line."""
        return {key: as_text(value) for key, value in self.settings.items()}

    def section(self, name: str) -> Mapping[str, object]:
        """Return a section of the metrics, such as ``run``, ``train`` or ``test``; empty if there is none."""
        content = self.metrics.get(name)
        return content if isinstance(content, Mapping) else {}


def is_run(folder: Path) -> bool:
    """Return whether the folder is a run folder; a run that failed on its data has left only a status.json."""
    # A config.yaml alone may belong to another program, such as Hydra.
    started = (folder / _CONFIG).is_file() and (folder / "checkpoints").is_dir()
    return started or (folder / _METRICS).is_file() or (folder / _STATUS).is_file()


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the run folders at or below the folders, each once, without symbolic links in its path.

    Raises:
        DataError: a folder is missing or cannot be read.
    """
    paths: dict[Path, None] = {}
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "is missing"
            raise DataError(f"{shown(folder)} {what}; expected a folder with runs below it")
        paths.update(dict.fromkeys(_search(folder.resolve(), seen)))
    return list(paths)


def shown(path: str | Path) -> str:
    """Return the path as printable text, with control characters and undecodable bytes escaped."""
    return spelt_out(str(path))


def _search(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Yield the run folders at or below a folder, whose path contains no symbolic links."""
    if folder in seen:
        return
    seen.add(folder)
    try:
        if is_run(folder):
            yield folder
            return
        with os.scandir(folder) as entries:
            inner = sorted((entry.name, entry.is_symlink()) for entry in entries if entry.is_dir())
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror}") from error
    for name, is_link in inner:
        yield from _search((folder / name).resolve() if is_link else folder / name, seen)


def signature_of(path: Path) -> str:
    """Return a digest of inode, size and times of the files of a run that a report reads, figures included."""
    stats = [(name, file_stat(path / name)) for name in (_CONFIG, _METRICS, _STATUS, HISTORY, EXPLORER)]
    try:
        with os.scandir(path / "figures") as entries:
            stats += sorted((entry.name, file_stat(entry.path)) for entry in entries)
    except OSError:
        pass  # most runs have none
    return hashlib.sha256(ascii(stats).encode()).hexdigest()


def file_stat(path: str | Path) -> tuple[int, ...]:
    """Return a file's inode, size and times; an empty tuple if it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(path: Path, name: str, signature: str) -> Run:
    """Read the run in a folder, in any state.

    Args:
        path: the run folder.
        name: the run's name.
        signature: of its files, taken before, so that files that change meanwhile are read again next time.
    """
    config: Mapping[str, object] = {}
    status, reason, metrics = UNFINISHED, "", dict[str, object]()
    try:
        if (path / _STATUS).is_file() and not (path / _CONFIG).exists():
            status, reason = _failure(path)
        else:
            config = _config(path)
            if (path / _METRICS).exists():
                status, metrics = COMPLETED, _metrics(path)
            elif (path / _STATUS).exists():
                status, reason = _failure(path)
    except (CheckpointError, DataError) as error:
        status, reason = UNREADABLE, _one_line(error)
    except OSError as error:
        status, reason = UNREADABLE, f"{shown(error.filename)}: {error.strerror}"
    return Run(path, name, status, reason, config, metrics, signature)


def _config(path: Path) -> Mapping[str, object]:
    return checked_config(plain(read_config(path), _CONFIG))


def checked_config(config: object) -> Mapping[str, object]:
    """Return the content of a config.yaml; raise DataError if it does not contain the choices."""
    choices = config.get("choices") if isinstance(config, Mapping) else None
    if not isinstance(choices, Mapping) or not all(isinstance(choices.get(group), str) for group in GROUPS):
        raise DataError(f"{_CONFIG} does not say what was chosen for {', '.join(GROUPS)}")
    assert isinstance(config, Mapping)
    return config


def _metrics(path: Path) -> dict[str, object]:
    return checked_metrics(_load(path / _METRICS))


def checked_metrics(metrics: dict[str, object]) -> dict[str, object]:
    """Return the content of a metrics.json; raise DataError if it lacks a section."""
    if metrics.get("schema") != _SCHEMA:
        raise DataError(f"{_METRICS} has schema {metrics.get('schema')!r}; expected {_SCHEMA}")
    for section in _SECTIONS:
        if not isinstance(metrics.get(section), Mapping):
            raise DataError(f"{_METRICS} has no section {section!r}")
    return metrics


def _failure(path: Path) -> tuple[str, str]:
    content = _load(path / _STATUS)
    status, reason = content.get("status"), content.get("reason")
    if not isinstance(status, str) or not isinstance(reason, str):
        raise DataError(f"{_STATUS} does not say status and reason")
    if status not in _FAILURES:
        raise DataError(f"{_STATUS} has status {status!r}; expected one of {', '.join(_FAILURES)}")
    return status, _one_line(reason)


def _load(path: Path) -> dict[str, object]:
    _check_size(path)
    try:
        content = plain(json.loads(path.read_bytes(), parse_constant=_refuse), path.name)
    except _MALFORMED as error:
        raise DataError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path.name} holds {type(content).__name__}; expected an object")
    return content


def _check_size(path: Path) -> None:
    if path.exists() and path.stat().st_size > _MOST_BYTES[path.name]:
        raise DataError(f"{path.name} has {path.stat().st_size} bytes; expected at most {_MOST_BYTES[path.name]}")


def plain(content: object, file: str) -> object:
    """Copy JSON-like content with its text escaped; raise DataError beyond a number of values or a depth.

    With aliases of aliases, a few lines of YAML can expand to more values than any memory holds.
    """
    left = _MOST_VALUES

    def copied(value: object, depth: int) -> object:
        nonlocal left
        if isinstance(value, str):
            return _text(value)
        if not isinstance(value, dict | list):
            return value
        left -= len(value)
        if left < 0 or depth > DEEPEST:
            raise DataError(f"{file} holds more than {_MOST_VALUES} values, or is nested deeper than {DEEPEST} times")
        # Most values are numbers, and most keys are the same in every run: neither needs a Python call.
        if isinstance(value, dict):
            return {
                _text(str(key)): each if type(each) in _NUMBERS else copied(each, depth + 1)
                for key, each in value.items()
            }
        return [each if type(each) in _NUMBERS else copied(each, depth + 1) for each in value]

    return copied(content, 1)


@lru_cache(maxsize=1 << 14)
def _text(text: str) -> str:
    return spelt_out(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _one_line(text: object) -> str:
    return shown(" ".join(str(text).split()))
