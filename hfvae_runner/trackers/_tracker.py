"""The interface of a tracking service, and helpers that the services' files share."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from hfvae_runner.errors import ConfigError
from hfvae_runner.storage.history import History

Status = Literal["completed", "failed", "interrupted"]
Row = Mapping[str, float | int]
_FOLDER = "trackers"
# Keys that do not affect the run's results.
_NOT_HYPERPARAMETERS = ("trackers", "debug", "resume", "trust")
_NOT_RESULTS = ("schema", "measured")


@dataclass(frozen=True)
class About:
    """The run that is tracked.

    Attributes:
        folder: the run folder.
        config: the resolved config.
        step: the optimiser step that the run resumes from; 0 for a new run.
    """

    folder: Path
    config: Mapping[str, object]
    step: int

    @property
    def name(self) -> str:
        """The run folder's name."""
        return self.folder.resolve().name

    def own(self, name: str) -> Path:
        """Return the path, in the run folder, for a tracker's own files."""
        return self.folder / _FOLDER / name

    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """Return the config's values by dotted key; lists and null as JSON text."""
        chosen = {key: value for key, value in self.config.items() if key not in _NOT_HYPERPARAMETERS}
        return {
            place: value if isinstance(value, bool | int | float | str) else json.dumps(value, ensure_ascii=False)
            for place, value in _leaves(chosen, ".")
        }

    def past(self) -> list[tuple[int, Row]]:
        """Return step and values of the rows of history.csv and evaluations.jsonl up to ``step``, ordered by step."""
        rows: list[tuple[int, Row]] = []
        for row in History(self.folder / "history.csv").read().to_dict("records"):
            rows.append((int(row.pop("step")), {str(name): value for name, value in row.items()}))
        evaluations = self.folder / "evaluations.jsonl"
        if evaluations.exists():
            for line in evaluations.read_text(encoding="utf-8").splitlines():
                measured = json.loads(line)
                rows.append((measured.pop("step"), numbers(measured)))
        return sorted((row for row in rows if row[0] <= self.step), key=lambda row: row[0])


class Tracker(ABC):
    """One run at a service.

    A tracker must not draw from the random states of ``random``, NumPy and torch. After a resume, the service must hold
    each row of the run once. Every method may raise any exception of the service.
    """

    @abstractmethod
    def row(self, step: int, values: Row) -> None:
        """Send a row of history.csv, or of evaluations.jsonl; steps never decrease."""

    @abstractmethod
    def results(self, step: int, values: Row, figures: Sequence[Path]) -> None:
        """Send the final results, once.

        Args:
            step: the last optimiser step.
            values: from ``numbers``.
            figures: PNG files.
        """

    @abstractmethod
    def close(self, status: Status) -> None:
        """Send the remaining data within seconds, and close."""


class Tracking(ABC):
    """The options of a choice of the group ``trackers``.

    The constructor checks them and raises ConfigError for an invalid one; it does not open anything.
    """

    @abstractmethod
    def open(self, about: About) -> Tracker:
        """Register a run, or reopen it, and send the rows of its ``past`` that the service does not have."""


def numbers(metrics: Mapping[str, object]) -> dict[str, float | int]:
    """Return every number in the content of metrics.json by its path, as in ``test/kl_per_factor/style[0]``.

    Nulls, texts, the schema number and the metrics' options (``measured``) are left out.
    """
    chosen = {key: value for key, value in metrics.items() if key not in _NOT_RESULTS}
    return {
        place: value
        for place, value in _leaves(chosen, "/", into_lists=True)
        if isinstance(value, float | int) and not isinstance(value, bool)
    }


def require(choice: str, *packages: str) -> None:
    """Raise ConfigError, with the command that installs it, if a package that the choice needs is missing."""
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(
                f"trackers={choice}: the package {package!r} is not installed; "
                f'expected it, as from pip install "hfvae_runner[{choice}]"'
            )


def check_text(key: str, value: object) -> None:
    """Raise ConfigError if the value of an option is not a non-empty text."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key}={json.dumps(value)}: expected some text")


def one_line(error: BaseException) -> str:
    """Return the text of an exception in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} …"


def _leaves(node: object, separator: str, place: str = "", *, into_lists: bool = False) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            inner = f"{place}{separator}{key}" if place else str(key)
            yield from _leaves(value, separator, inner, into_lists=into_lists)
    elif into_lists and isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _leaves(value, separator, f"{place}[{index}]", into_lists=True)
    else:
        yield place, node
