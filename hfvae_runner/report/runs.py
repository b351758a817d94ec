"""Finding run folders and reading what stands in them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hfvae_runner.console import spelt_out
from hfvae_runner.errors import CheckpointError, DataError
from hfvae_runner.record import read_config
from hfvae_runner.report.settings import natural
from hfvae_runner.schema import GROUPS

COMPLETED, UNFINISHED, UNREADABLE = "completed", "unfinished", "unreadable"
_FAILURES = ("failed", "diverged")
_CONFIG, _METRICS, _STATUS = "config.yaml", "metrics.json", "status.json"
_SCHEMA = 1
_SECTIONS = ("run", "train", "test")
_MOST_BYTES = {_METRICS: 1 << 25, _STATUS: 1 << 20}
_MOST_VALUES, _DEEPEST = 1_000_000, 40
_MALFORMED = (ValueError, LookupError, AttributeError, RecursionError)
"""What the parser raises, beside its own errors, for text that only looks like JSON."""


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        path: the folder, without symbolic links.
        name: the folder as seen from the report's.
        status: ``completed``, ``failed``, ``diverged``, ``unfinished``, or ``unreadable`` where a file is malformed.
        reason: why it is not completed; empty where it is, or where nobody knows.
        config: the resolved config; empty where there is none that can be read.
        metrics: the content of metrics.json; empty unless completed.
    """

    path: Path
    name: str
    status: str
    reason: str
    config: Mapping[str, object]
    metrics: Mapping[str, object]

    def section(self, name: str) -> Mapping[str, object]:
        """``run``, ``train`` or ``test`` of the metrics; empty unless completed."""
        content = self.metrics.get(name)
        return content if isinstance(content, Mapping) else {}


def is_run(folder: Path) -> bool:
    """Whether a run was started there; one that was refused by its data has left a status.json alone."""
    # A config.yaml alone may be anybody's, Hydra's own among them.
    started = (folder / _CONFIG).is_file() and (folder / "checkpoints").is_dir()
    return started or (folder / _METRICS).is_file() or (folder / _STATUS).is_file()


def collect(folders: Sequence[Path]) -> list[Run]:
    """The runs below the folders, each once, by name as seen from the first folder.

    Raises:
        DataError: a folder is missing or cannot be read.
    """
    home = folders[0].resolve()
    paths: set[Path] = set()
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "is missing"
            raise DataError(f"{shown(folder)} {what}; expected a folder with runs below it")
        paths.update(_search(folder.resolve(), seen))
    runs = [_read(path, shown(os.path.relpath(path, home))) for path in paths]
    return sorted(runs, key=lambda run: natural(run.name))


def shown(path: str | Path) -> str:
    """The path as text that can be written anywhere, even where its bytes are no text or steer a terminal."""
    return spelt_out(str(path))


def _search(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """The run folders at or below a folder, which has no symbolic links in its path."""
    if folder in seen:
        return
    seen.add(folder)
    try:
        if is_run(folder):
            yield folder
            return
        inner = [entry.path for entry in os.scandir(folder) if entry.is_dir()]
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be read: {error.strerror}") from error
    for path in sorted(inner):
        yield from _search(Path(path).resolve(), seen)


def _read(path: Path, name: str) -> Run:
    config: Mapping[str, object] = {}
    try:
        if (path / _STATUS).is_file() and not (path / _CONFIG).exists():
            return Run(path, name, *_failure(path), config, {})
        config = _config(path)
        if (path / _METRICS).exists():
            return Run(path, name, COMPLETED, "", config, _metrics(path))
        if (path / _STATUS).exists():
            return Run(path, name, *_failure(path), config, {})
    except (CheckpointError, DataError) as error:
        return Run(path, name, UNREADABLE, _one_line(error), config, {})
    except OSError as error:
        return Run(path, name, UNREADABLE, f"{shown(error.filename)}: {error.strerror}", config, {})
    return Run(path, name, UNFINISHED, "", config, {})


def _config(path: Path) -> Mapping[str, object]:
    config = _plain(read_config(path), _CONFIG)
    assert isinstance(config, Mapping)
    choices = config.get("choices")
    if not isinstance(choices, Mapping) or not all(isinstance(choices.get(group), str) for group in GROUPS):
        raise DataError(f"{_CONFIG} does not say what was chosen for {', '.join(GROUPS)}")
    return config


def _metrics(path: Path) -> Mapping[str, object]:
    metrics = _load(path / _METRICS)
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


def _load(path: Path) -> Mapping[str, object]:
    _check_size(path)
    try:
        content = _plain(json.loads(path.read_bytes(), parse_constant=_refuse), path.name)
    except _MALFORMED as error:
        raise DataError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path.name} holds {type(content).__name__}; expected an object")
    return content


def _check_size(path: Path) -> None:
    if path.exists() and path.stat().st_size > _MOST_BYTES[path.name]:
        raise DataError(f"{path.name} has {path.stat().st_size} bytes; expected at most {_MOST_BYTES[path.name]}")


def _plain(content: object, file: str) -> object:
    """The content with text that can be written anywhere; raises DataError where it is beyond all measure.

    A few lines of YAML can stand for more values than any memory holds, each an alias of several others.
    """
    left = _MOST_VALUES

    def copied(value: object, depth: int) -> object:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise DataError(f"{file} holds more than {_MOST_VALUES} values, or is nested deeper than {_DEEPEST} times")
        if isinstance(value, Mapping):
            return {copied(key, depth + 1): copied(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [copied(inner, depth + 1) for inner in value]
        return shown(value) if isinstance(value, str) else value

    return copied(content, 0)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _one_line(text: object) -> str:
    return shown(" ".join(str(text).split()))
